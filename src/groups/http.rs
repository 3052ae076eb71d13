//! `/groups`.

use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post, web};
use diesel::PgConnection;

use super::{
    change, create,
    domain::{
        ChangeMembers, CreateGroup, DeleteQuery, Group, GroupDeleted, ListQuery, MembersChanged,
        PatchGroup, Sort,
    },
    queries,
};
use crate::{
    audit::Trail,
    db::DbError,
    http::{
        error::ApiError,
        extract::{Body, Params, SELECTION},
        list::{self, List},
        once::{Done, Once},
        paging::{Page, Position},
        problem::Problem,
        resource::{self, Expected, Id},
        route::Register,
    },
    model::{caller::Permission, search::SearchText},
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    api.permit(Permission::Read, list_groups)
        .permit(Permission::Manage, create_group)
        .permit(Permission::Read, get_group)
        .permit(Permission::Manage, change_group)
        .permit(Permission::Manage, delete_group)
        .permit(Permission::Manage, change_group_members);
}

/// Groups by name.
struct Groups {
    q: Option<SearchText>,
    sort: Sort,
}

impl List for Groups {
    type Row = Group;

    fn scope(&self) -> String {
        list::scope_of(&("groups", &self.q, self.sort))
    }

    fn rows(
        &self,
        connection: &mut PgConnection,
        after: Option<&Position>,
        limit: i64,
    ) -> Result<Vec<Group>, DbError> {
        queries::list(connection, self.q.as_ref(), self.sort, after, limit)
    }

    fn count(&self, connection: &mut PgConnection) -> Result<i64, DbError> {
        queries::count(connection, self.q.as_ref())
    }

    fn position(&self, last: &Group) -> Position {
        queries::position(last)
    }

    fn is_selective(&self) -> bool {
        self.q.is_some()
    }
}

/// List groups
///
/// Each with how many members it has. Pages are keyset pages: no row comes twice or is missing while
/// others are added.
#[utoipa::path(
    tag = "groups", params(ListQuery),
    responses((status = 200, description = "One page", body = Page<Group>))
)]
#[get("/groups")]
async fn list_groups(
    state: web::Data<State>,
    request: HttpRequest,
    Params(mut asked): Params<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    let groups = Groups {
        sort: asked.sort.unwrap_or(Sort::Name),
        q: asked.q.take(),
    };
    list::page(&state, &request, asked.paging(), groups).await
}

/// Create a group
///
/// Names are unique; upper and lower case are the same.
#[utoipa::path(
    tag = "groups", request_body = CreateGroup,
    params(("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key and body gets the first answer")),
    responses(
        (status = 201, description = "Created", body = Group, headers(("Location" = String, description = "The group"))),
        (status = 409, description = "Another group has this name", body = Problem),
    )
)]
#[post("/groups")]
async fn create_group(
    state: web::Data<State>,
    trail: Trail,
    once: Once<Body<CreateGroup>>,
) -> Result<HttpResponse, ApiError> {
    let name = once.value.name;
    let work = move |connection: &mut PgConnection| {
        let group = create::create(connection, &trail, name)?;
        Ok(Done::created(format!("/groups/{}", group.id), group))
    };
    Ok(once.key.run(&state, work).await?.0)
}

/// Get a group
#[utoipa::path(
    tag = "groups", params(("id" = Uuid, Path, description = "The group's id")),
    responses((status = 200, description = "The group", body = Group))
)]
#[get("/groups/{id}")]
async fn get_group(
    state: web::Data<State>,
    request: HttpRequest,
    Id(id, ..): Id<Group>,
) -> Result<HttpResponse, ApiError> {
    resource::read(&state, &request, move |connection| {
        queries::get(connection, id)
    })
    .await
}

/// Rename a group
///
/// A JSON merge patch (RFC 7396).
#[utoipa::path(
    tag = "groups", request_body = PatchGroup,
    params(
        ("id" = Uuid, Path, description = "The group's id"),
        ("If-Match" = Option<String>, Header, description = "Change only the version with this `ETag`"),
    ),
    responses(
        (status = 200, description = "The group as changed", body = Group),
        (status = 409, description = "Another group has this name", body = Problem),
        (status = 412, description = "The group has changed since", body = Problem),
    )
)]
#[patch("/groups/{id}")]
async fn change_group(
    state: web::Data<State>,
    trail: Trail,
    request: HttpRequest,
    Id(id, ..): Id<Group>,
    expected: Expected,
    body: Body<PatchGroup>,
) -> Result<HttpResponse, ApiError> {
    let name = body.value.name()?;
    resource::change(&state, &request, move |connection| {
        change::rename(connection, &trail, id, &expected, name)
    })
    .await
}

/// Delete a group
///
/// Its users stay, and are no longer in it. A setting that was distributed to it is so no longer: then the
/// answer names these settings, each with how many users it no longer holds. To these users the next setting
/// applies; invitations that are sent already stay as they are. With `dry_run=true` nothing is deleted, and
/// the answer says what would change.
#[utoipa::path(
    tag = "groups",
    params(
        DeleteQuery,
        ("id" = Uuid, Path, description = "The group's id"),
        ("If-Match" = Option<String>, Header, description = "Delete only the version with this `ETag`"),
    ),
    responses(
        (status = 200, description = "Deleted, and what that changed; or with `dry_run` what it would change", body = GroupDeleted),
        (status = 204, description = "Deleted; no setting was distributed to it"),
        (status = 412, description = "The group has changed since", body = Problem),
    )
)]
#[delete("/groups/{id}")]
async fn delete_group(
    state: web::Data<State>,
    trail: Trail,
    Id(id, ..): Id<Group>,
    expected: Expected,
    Params(DeleteQuery { dry_run }): Params<DeleteQuery>,
) -> Result<HttpResponse, ApiError> {
    let deleted = state
        .db
        .patient()
        .transaction(move |connection| change::delete(connection, &trail, id, &expected, dry_run))
        .await?;
    if deleted.settings.is_empty() && !dry_run {
        return Ok(HttpResponse::NoContent().finish());
    }
    Ok(HttpResponse::Ok().json(deleted))
}

/// Change a group's members
///
/// Up to 10,000 users at once, all or none. Who is a member already, or is none, is no fault and is
/// not counted.
#[utoipa::path(
    tag = "groups", request_body = ChangeMembers,
    params(
        ("id" = Uuid, Path, description = "The group's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key and body gets the first answer"),
        ("If-Match" = Option<String>, Header, description = "Change only the version with this `ETag`"),
    ),
    responses(
        (status = 200, description = "What has changed", body = MembersChanged),
        (status = 412, description = "The group has changed since", body = Problem),
    )
)]
#[post("/groups/{id}/members")]
async fn change_group_members(
    state: web::Data<State>,
    trail: Trail,
    Id(id, ..): Id<Group>,
    expected: Expected,
    once: Once<Body<ChangeMembers, SELECTION>>,
) -> Result<HttpResponse, ApiError> {
    let change = once.value;
    change.check()?;
    let work = move |connection: &mut PgConnection| {
        change::members(connection, &trail, id, &expected, &change).map(Done::ok)
    };
    Ok(once.key.patient_if(true).run(&state, work).await?.0)
}
