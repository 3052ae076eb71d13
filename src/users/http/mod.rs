//! `/users`.

mod exports;
mod faults;
mod form;
mod media;
mod person;
mod transfer;
mod upload;

use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post, put, web};
use chrono::{DateTime, Utc};
use diesel::PgConnection;

pub use self::transfer::Uploads;
use super::{
    change,
    create::{self, CreatedUser, NewUser},
    domain::{CreateUser, ListQuery, PatchUser, Sort, User},
    queries,
};
use crate::{
    audit::Trail,
    db::DbError,
    http::{
        error::ApiError,
        extract::{Body, Params},
        list::{self, List},
        once::{Done, Once},
        paging::{Page, Position},
        problem::Problem,
        resource::{self, Expected, Id},
        route::Register,
    },
    model::{caller::Permission, secret_input::SetPassword},
    selection::domain::UserFilter,
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    // Before `/users/{id}`: the first match decides.
    exports::routes(api);
    transfer::routes(api);
    person::routes(api);
    api.permit(Permission::Read, list_users)
        .permit(Permission::Manage, create_user)
        .permit(Permission::Read, get_user)
        .permit(Permission::Manage, change_user)
        .permit(Permission::Manage, delete_user)
        .permit(Permission::Manage, set_user_password);
}

/// Users as they are at a time: an invitation that is pending then may have expired since.
struct Users {
    filter: UserFilter,
    sort: Sort,
    now: DateTime<Utc>,
}

impl List for Users {
    type Row = User;

    fn scope(&self) -> String {
        list::scope_of(&("users", &self.filter, self.sort))
    }

    fn rows(
        &self,
        connection: &mut PgConnection,
        after: Option<&Position>,
        limit: i64,
    ) -> Result<Vec<User>, DbError> {
        queries::list(connection, &self.filter, self.sort, after, limit, self.now)
    }

    fn count(&self, connection: &mut PgConnection) -> Result<i64, DbError> {
        queries::count(connection, &self.filter, self.now)
    }

    fn position(&self, last: &User) -> Position {
        queries::position(last, self.sort)
    }

    fn is_selective(&self) -> bool {
        self.filter.is_selective()
    }
}

/// List users
///
/// Filters can be combined. Pages are keyset pages: no row comes twice or is missing while others
/// are added.
#[utoipa::path(
    tag = "users", params(ListQuery),
    responses((status = 200, description = "One page", body = Page<User>))
)]
#[get("/users")]
async fn list_users(
    state: web::Data<State>,
    request: HttpRequest,
    Params(mut asked): Params<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    let users = Users {
        filter: asked.filter(),
        sort: asked.sort.unwrap_or(Sort::DisplayName),
        now: state.clock.now(),
    };
    list::page(&state, &request, asked.paging(), users).await
}

/// Create a user
///
/// Needs `email` or `username`. With `invite: true` an invitation is sent at once; a user who cannot
/// be invited is created all the same, and `invitation` says why.
#[utoipa::path(
    tag = "users", request_body = CreateUser,
    params(("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key and body gets the first answer")),
    responses(
        (status = 201, description = "Created", body = CreatedUser, headers(("Location" = String, description = "The user"))),
        (status = 409, description = "Another user has this username or address", body = Problem),
    )
)]
#[post("/users")]
async fn create_user(
    state: web::Data<State>,
    trail: Trail,
    once: Once<Body<CreateUser>>,
) -> Result<HttpResponse, ApiError> {
    let mut asked = once.value;
    let profile = asked.profile()?;
    let password_hash = match asked.password {
        Some(password) => Some(state.hasher.hash(password.into_secret()).await?),
        None => None,
    };
    let new = NewUser {
        profile,
        password_hash,
        group_ids: asked.group_ids,
        invite: asked.invite.then(|| state.keys.clone()),
    };
    let work = move |connection: &mut PgConnection| {
        let created = create::create(connection, &trail, new)?;
        let id = created.user.id;
        Ok(Done::created(format!("/users/{id}"), created).about(id))
    };
    // Inviting takes turns.
    let key = if asked.invite {
        once.key.in_turn()
    } else {
        once.key
    };
    let (answer, created) = key.run(&state, work).await?;
    if created.is_some_and(|created| created.invitation.is_some()) {
        state.bell.notify_one();
    }
    Ok(answer)
}

/// Get a user
#[utoipa::path(
    tag = "users", params(("id" = Uuid, Path, description = "The user's id")),
    responses((status = 200, description = "The user", body = User))
)]
#[get("/users/{id}")]
async fn get_user(
    state: web::Data<State>,
    request: HttpRequest,
    Id(id, ..): Id<User>,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    resource::read(&state, &request, move |connection| {
        queries::get(connection, id, now)
    })
    .await
}

/// Change a user
///
/// A JSON merge patch (RFC 7396): what is not named stays, `null` takes a value away or back to its
/// default. Disabling a user revokes a pending invitation.
#[utoipa::path(
    tag = "users", request_body = PatchUser,
    params(
        ("id" = Uuid, Path, description = "The user's id"),
        ("If-Match" = Option<String>, Header, description = "Change only the version with this `ETag`"),
    ),
    responses(
        (status = 200, description = "The user as changed", body = User),
        (status = 409, description = "Another user has this username or address", body = Problem),
        (status = 412, description = "The user has changed since", body = Problem),
    )
)]
#[patch("/users/{id}")]
async fn change_user(
    state: web::Data<State>,
    trail: Trail,
    request: HttpRequest,
    Id(id, ..): Id<User>,
    expected: Expected,
    body: Body<PatchUser>,
) -> Result<HttpResponse, ApiError> {
    resource::change(&state, &request, move |connection| {
        change::change(connection, &trail, id, &expected, body.value)
    })
    .await
}

/// Delete a user
///
/// A pending invitation is revoked; invitations, batches and retired devices stay, without the person.
#[utoipa::path(
    tag = "users",
    params(
        ("id" = Uuid, Path, description = "The user's id"),
        ("If-Match" = Option<String>, Header, description = "Delete only the version with this `ETag`"),
    ),
    responses(
        (status = 204, description = "Deleted"),
        (status = 409, description = "`user_has_devices`: the user holds devices", body = Problem),
        (status = 412, description = "The user has changed since", body = Problem),
    )
)]
#[delete("/users/{id}")]
async fn delete_user(
    state: web::Data<State>,
    trail: Trail,
    Id(id, ..): Id<User>,
    expected: Expected,
) -> Result<HttpResponse, ApiError> {
    resource::act(&state, move |connection| {
        change::delete(connection, &trail, id, &expected)
    })
    .await
}

/// Set a user's password
#[utoipa::path(
    tag = "users", request_body = SetPassword,
    params(
        ("id" = Uuid, Path, description = "The user's id"),
        ("If-Match" = Option<String>, Header, description = "Change only the version with this `ETag`"),
    ),
    responses(
        (status = 204, description = "Set"),
        (status = 412, description = "The user has changed since", body = Problem),
    )
)]
#[put("/users/{id}/password")]
async fn set_user_password(
    state: web::Data<State>,
    trail: Trail,
    Id(id, ..): Id<User>,
    expected: Expected,
    body: Body<SetPassword>,
) -> Result<HttpResponse, ApiError> {
    let hash = state.hasher.hash(body.value.password.into_secret()).await?;
    let keys = state.keys.clone();
    resource::act(&state, move |connection| {
        change::set_password(connection, &trail, &keys, id, &expected, &hash)
    })
    .await
}
