//! `/groups`.

use actix_web::{HttpRequest, HttpResponse, delete, get, http::header, patch, post, web};
use diesel::prelude::*;
use serde_json::json;
use uuid::Uuid;

use super::{
    domain::{
        ChangeMembers, CreateGroup, DeleteQuery, Group, GroupDeleted, GroupName, ListQuery,
        MembersChanged, PatchGroup, Sort,
    },
    queries,
};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    db::DbError,
    http::{
        error::ApiError,
        etag,
        extract::{Body, Id, Params, SELECTION, tags},
        idempotent::{self, Answer, Scope},
        paging::{self, Page},
        respond,
        route::Register,
    },
    model::{
        caller::{Caller, Permission},
        wire::Fault,
    },
    selection::queries::hold_users,
    settings::store,
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

/// A violated unique index is a 409; all else is as usual.
fn stored_or_taken(error: DbError) -> ApiError {
    if queries::is_taken(&error) {
        ApiError::conflict(
            "already_exists",
            "Another group has this name (upper and lower case are the same).",
            vec![Fault::new("/name", "taken", "another group has this name")],
        )
    } else {
        error.into()
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
    Params(asked): Params<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    let sort = asked.sort.unwrap_or(Sort::Name);
    let query = serde_json::to_string(&("groups", &asked.q, sort)).map_err(ApiError::internal)?;
    let after = asked
        .cursor
        .as_deref()
        .map(|cursor| paging::open(&state.keys, &query, cursor))
        .transpose()
        .map_err(|fault| ApiError::invalid(vec![fault]))?;
    let (limit, is_filtered) = (asked.limit, asked.q.is_some());
    let work = move |connection: &mut PgConnection| {
        let q = asked.q.as_ref();
        let rows = queries::list(connection, q, sort, after.as_ref(), limit.probe())?;
        let total = asked
            .count
            .then(|| queries::count(connection, q))
            .transpose()?;
        Ok((rows, total))
    };
    let (rows, total) = if is_filtered {
        state.db.search(work).await?
    } else {
        state.db.read(work).await?
    };
    let page = Page::of(rows, limit, total, |last| {
        paging::seal(&state.keys, &query, &queries::position(last))
    });
    Ok(respond::page(
        &request,
        page.write().map_err(ApiError::internal)?,
    ))
}

/// Create a group
///
/// Names are unique; upper and lower case are the same.
#[utoipa::path(
    tag = "groups", request_body = CreateGroup,
    params(("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key and body gets the first answer")),
    responses(
        (status = 201, description = "Created", body = Group, headers(("Location" = String, description = "The group"))),
        (status = 409, description = "Another group has this name", body = crate::http::problem::Problem),
    )
)]
#[post("/groups")]
async fn create_group(
    state: web::Data<State>,
    caller: Caller,
    request: HttpRequest,
    body: Body<CreateGroup>,
) -> Result<HttpResponse, ApiError> {
    let scope = Scope::of(&request, &caller, "POST /groups", &body.bytes, &state.keys)?;
    let (name, bytes) = (body.value.name, body.bytes);
    let (shared, trail) = (state.clone(), Trail::current());
    let answer = state
        .db
        .transaction(move |connection| {
            let now = shared.clock.now();
            idempotent::once(
                connection,
                scope.as_ref(),
                &bytes,
                &shared.keys,
                now,
                |connection| {
                    let id = shared.clock.new_id();
                    queries::insert(connection, id, &name, now).map_err(stored_or_taken)?;
                    let group = Group {
                        id,
                        name: name.into_string(),
                        member_count: 0,
                        created_at: now,
                        updated_at: now,
                    };
                    let event = Event::new(Action::GroupCreated, SubjectKind::Group, id);
                    trail.record(connection, &event.after(&json!({"name": group.name})))?;
                    Ok::<_, ApiError>(Answer {
                        status: 201,
                        location: Some(format!("/groups/{id}")),
                        body: serde_json::to_string(&group).map_err(ApiError::internal)?,
                        replayed: false,
                    })
                },
            )
        })
        .await?;
    Ok(respond::answer(&answer))
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
    Id(id): Id,
) -> Result<HttpResponse, ApiError> {
    let group = state
        .db
        .read(move |connection| queries::get(connection, id))
        .await?
        .ok_or_else(|| ApiError::not_found("group"))?;
    Ok(respond::resource(&request, &group))
}

/// The group as it is now, held until the end of the transaction.
fn lock(
    connection: &mut PgConnection,
    id: Uuid,
    wanted: Option<&etag::Tags>,
) -> Result<Group, ApiError> {
    if !queries::lock(connection, id)? {
        return Err(ApiError::not_found("group"));
    }
    let group = queries::get(connection, id)?.ok_or_else(|| ApiError::not_found("group"))?;
    match wanted {
        Some(tags) if !tags.match_strongly(&etag::of(&group)) => {
            Err(ApiError::precondition_failed())
        }
        _ => Ok(group),
    }
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
        (status = 409, description = "Another group has this name", body = crate::http::problem::Problem),
        (status = 412, description = "The group has changed since", body = crate::http::problem::Problem),
    )
)]
#[patch("/groups/{id}")]
async fn change_group(
    state: web::Data<State>,
    request: HttpRequest,
    Id(id): Id,
    body: Body<PatchGroup>,
) -> Result<HttpResponse, ApiError> {
    let wanted = tags(&request, header::IF_MATCH);
    let (clock, trail) = (state.clock.clone(), Trail::current());
    let name = body
        .value
        .name()
        .map_err(|faults| ApiError::invalid(faults.0))?;
    let group = state
        .db
        .transaction(move |connection| {
            let group = lock(connection, id, wanted.as_ref())?;
            let is_new = |name: &GroupName| name.as_str() != group.name;
            let Some(name) = name.filter(is_new) else {
                return Ok(group);
            };
            let now = clock.now();
            queries::rename(connection, id, &name, now).map_err(stored_or_taken)?;
            let event = Event::new(Action::GroupChanged, SubjectKind::Group, id)
                .before(&json!({"name": group.name}))
                .after(&json!({"name": name.as_str()}));
            trail.record(connection, &event)?;
            Ok::<_, ApiError>(Group {
                name: name.into_string(),
                updated_at: now,
                ..group
            })
        })
        .await?;
    Ok(respond::resource(&request, &group))
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
        (status = 412, description = "The group has changed since", body = crate::http::problem::Problem),
    )
)]
#[delete("/groups/{id}")]
async fn delete_group(
    state: web::Data<State>,
    request: HttpRequest,
    Id(id): Id,
    Params(asked): Params<DeleteQuery>,
) -> Result<HttpResponse, ApiError> {
    let (wanted, trail) = (tags(&request, header::IF_MATCH), Trail::current());
    let deleted = state
        .db
        .transaction(move |connection| {
            // No setting may be distributed to it any more before it is gone: a weaker lock would let one.
            queries::lock_for_deletion(connection, id)?;
            let group = lock(connection, id, wanted.as_ref())?;
            let settings = store::distributed_to(connection, id)?;
            if !asked.dry_run {
                queries::delete(connection, id)?;
                let event = Event::new(Action::GroupDeleted, SubjectKind::Group, id)
                    .before(&json!({"name": group.name, "member_count": group.member_count}));
                trail.record(connection, &event)?;
            }
            Ok::<_, ApiError>(GroupDeleted { settings })
        })
        .await?;
    if deleted.settings.is_empty() && !asked.dry_run {
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
        (status = 412, description = "The group has changed since", body = crate::http::problem::Problem),
    )
)]
#[post("/groups/{id}/members")]
async fn change_group_members(
    state: web::Data<State>,
    caller: Caller,
    request: HttpRequest,
    Id(id): Id,
    body: Body<ChangeMembers, SELECTION>,
) -> Result<HttpResponse, ApiError> {
    // The path is part of the scope: the same key and body for another group is another request.
    let route = format!("POST /groups/{id}/members");
    let scope = Scope::of(&request, &caller, &route, &body.bytes, &state.keys)?;
    let wanted = tags(&request, header::IF_MATCH);
    let (change, bytes) = (body.value, body.bytes);
    change
        .check()
        .map_err(|faults| ApiError::invalid(faults.0))?;
    let (shared, trail) = (state.clone(), Trail::current());
    let answer = state
        .db
        .transaction(move |connection| {
            let now = shared.clock.now();
            idempotent::once(
                connection,
                scope.as_ref(),
                &bytes,
                &shared.keys,
                now,
                |connection| {
                    let changed = change_members(connection, id, wanted.as_ref(), &change)?;
                    let event = Event::new(Action::GroupMembersChanged, SubjectKind::Group, id);
                    trail.record(
                        connection,
                        &event.after(&json!({"added": changed.added, "removed": changed.removed})),
                    )?;
                    Ok::<_, ApiError>(Answer {
                        status: 200,
                        location: None,
                        body: serde_json::to_string(&changed).map_err(ApiError::internal)?,
                        replayed: false,
                    })
                },
            )
        })
        .await?;
    Ok(respond::answer(&answer))
}

fn change_members(
    connection: &mut PgConnection,
    id: Uuid,
    wanted: Option<&etag::Tags>,
    change: &ChangeMembers,
) -> Result<MembersChanged, ApiError> {
    lock(connection, id, wanted)?;
    let unknown = change.unknown(&hold_users(connection, change.users())?);
    if !unknown.is_empty() {
        return Err(unknown.into());
    }
    let removed = queries::remove(connection, id, &change.remove)?;
    let added = queries::add(connection, id, &change.add)?;
    let group = queries::get(connection, id)?.ok_or_else(|| ApiError::internal("gone"))?;
    Ok(MembersChanged {
        added,
        removed,
        member_count: group.member_count,
    })
}
