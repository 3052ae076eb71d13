//! `/users`.

mod transfer;
mod upload;

pub use transfer::Uploads;

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, delete, get, http::header, patch, post, put, web};
use diesel::prelude::*;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    db::DbError,
    http::{
        error::ApiError,
        etag,
        extract::{Body, Id, Params, tags},
        idempotent::{self, Answer, Scope},
        paging::{self, Page},
        respond,
        route::Register,
    },
    invitations::{domain::Overrides, ending, http::from_selection, send},
    model::{
        caller::{Caller, Permission},
        invitation::State as InvitationState,
        secret_input::SetPassword,
        wire::Fault,
    },
    selection::domain::{Ids, Selection},
    state::State,
    users::{
        domain::{CreateUser, ListQuery, PatchUser, Sort, User},
        queries::{self, Taken},
    },
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    // Before `/users/{id}`: the first match decides.
    transfer::routes(api);
    api.permit(Permission::Read, list_users)
        .permit(Permission::Manage, create_user)
        .permit(Permission::Read, get_user)
        .permit(Permission::Manage, change_user)
        .permit(Permission::Manage, delete_user)
        .permit(Permission::Manage, set_user_password);
}

fn taken(fields: &[Taken]) -> ApiError {
    let faults = fields
        .iter()
        .map(|field| match field {
            Taken::Username => Fault::new("/username", "taken", "another user has this username"),
            Taken::Email => Fault::new("/email", "taken", "another user has this e-mail address"),
        })
        .collect();
    ApiError::conflict(
        "already_exists",
        "Another user has this username or e-mail address (upper and lower case are the same).",
        faults,
    )
}

/// A violated unique index is a 409 like any other clash; all else is as usual.
fn stored_or_taken(error: DbError) -> ApiError {
    match queries::taken_by_constraint(&error) {
        Some(field) => taken(&[field]),
        None => error.into(),
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
    Params(asked): Params<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    let sort = asked.sort.unwrap_or(Sort::DisplayName);
    let filter = asked.filter();
    let query = serde_json::to_string(&("users", &filter, sort)).map_err(ApiError::internal)?;
    let after = asked
        .cursor
        .as_deref()
        .map(|cursor| paging::open(&state.keys, &query, cursor))
        .transpose()
        .map_err(|fault| ApiError::invalid(vec![fault]))?;
    let (now, limit, count) = (state.clock.now(), asked.limit, asked.count);
    let keys = Arc::clone(&state.keys);
    let is_selective = filter.is_selective();
    let work = move |connection: &mut PgConnection| {
        let rows = queries::list(
            connection,
            &filter,
            sort,
            after.as_ref(),
            limit.probe(),
            now,
        )?;
        let total = count
            .then(|| queries::count(connection, &filter, now))
            .transpose()?;
        let page = Page::of(rows, limit, total, |last| {
            paging::seal(&keys, &query, &queries::position(last, sort))
        });
        page.write()
            .map_err(|error| DbError::Stored(error.to_string()))
    };
    let page = if is_selective {
        state.db.search(work).await?
    } else {
        state.db.read(work).await?
    };
    Ok(respond::page(&request, page))
}

/// The answer of `POST /users`.
#[derive(Debug, Serialize, ToSchema)]
struct CreatedUser {
    #[serde(flatten)]
    user: User,
    /// What came of `invite: true`.
    #[serde(skip_serializing_if = "Option::is_none")]
    invitation: Option<send::BatchResult>,
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
        (status = 409, description = "Another user has this username or address", body = crate::http::problem::Problem),
    )
)]
#[post("/users")]
async fn create_user(
    state: web::Data<State>,
    caller: Caller,
    request: HttpRequest,
    body: Body<CreateUser>,
) -> Result<HttpResponse, ApiError> {
    let scope = Scope::of(&request, &caller, "POST /users", &body.bytes, &state.keys)?;
    let (mut new, bytes) = (body.value, body.bytes);
    let profile = new
        .profile()
        .map_err(|faults| ApiError::invalid(faults.0))?;
    let password_hash = match new.password {
        Some(password) => Some(state.hasher.hash(password).await?),
        None => None,
    };
    let (shared, invite, group_ids) = (state.clone(), new.invite, new.group_ids);
    let trail = Trail::current();
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
                    let hash = password_hash.as_ref();
                    if !queries::insert(connection, id, &profile, hash, now)? {
                        return Err(match queries::taken(connection, &profile, None)?[..] {
                            // Whoever had it was deleted just now.
                            [] => ApiError::unavailable(1, "the name became free meanwhile"),
                            ref fields => taken(fields),
                        });
                    }
                    refuse_unknown_groups(
                        &group_ids,
                        &queries::join_groups(connection, id, &group_ids)?,
                    )?;
                    let event = Event::new(Action::UserCreated, SubjectKind::User, id);
                    trail.record(connection, &event.after(&profile).about(id))?;
                    let invitation = if invite {
                        let selection = Selection {
                            user_ids: Some(Ids(vec![id])),
                            ..Selection::default()
                        };
                        let mut sent = send::send(
                            connection,
                            &shared.clock,
                            shared.keys.signing(),
                            &caller.label(),
                            &selection,
                            &Overrides::default(),
                        )
                        .map_err(from_selection)?;
                        trail.record(connection, &sent.event())?;
                        sent.results.pop()
                    } else {
                        None
                    };
                    let user = if invite || !group_ids.is_empty() {
                        queries::get(connection, id, now)?
                            .ok_or_else(|| ApiError::internal("gone"))?
                    } else {
                        profile.into_new_user(id, hash.is_some(), now)
                    };
                    let created = CreatedUser { user, invitation };
                    Ok(Answer {
                        status: 201,
                        location: Some(format!("/users/{id}")),
                        body: serde_json::to_string(&created).map_err(ApiError::internal)?,
                        replayed: false,
                    })
                },
            )
        })
        .await?;
    if invite {
        state.bell.notify_one();
    }
    Ok(respond::answer(&answer))
}

fn refuse_unknown_groups(given: &[Uuid], unknown: &[Uuid]) -> Result<(), ApiError> {
    let faults: Vec<Fault> = given
        .iter()
        .enumerate()
        .filter(|(_, id)| unknown.contains(id))
        .map(|(index, _)| {
            Fault::new(
                format!("/group_ids/{index}"),
                "unknown_id",
                "there is no group with this id",
            )
        })
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.into())
    }
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
    Id(id): Id,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let user = state
        .db
        .read(move |connection| queries::get(connection, id, now))
        .await?
        .ok_or_else(|| ApiError::not_found("user"))?;
    Ok(respond::resource(&request, &user))
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
        (status = 409, description = "Another user has this username or address", body = crate::http::problem::Problem),
        (status = 412, description = "The user has changed since", body = crate::http::problem::Problem),
    )
)]
#[patch("/users/{id}")]
async fn change_user(
    state: web::Data<State>,
    request: HttpRequest,
    Id(id): Id,
    body: Body<PatchUser>,
) -> Result<HttpResponse, ApiError> {
    let wanted = tags(&request, header::IF_MATCH);
    let clock = state.clock.clone();
    let trail = Trail::current();
    let user = state
        .db
        .transaction(move |connection| {
            let now = clock.now();
            let user = lock(connection, id, wanted.as_ref(), now)?;
            let was_enabled = user.enabled;
            let before = user.profile();
            let mut profile = before.clone();
            profile
                .apply(body.value)
                .map_err(|faults| ApiError::invalid(faults.0))?;
            if profile == before {
                return Ok(user);
            }
            let clashes = queries::taken(connection, &profile, Some(id))?;
            if !clashes.is_empty() {
                return Err(taken(&clashes));
            }
            queries::update(connection, id, &profile, now).map_err(stored_or_taken)?;
            if was_enabled && !profile.enabled {
                ending::end_pending(
                    connection,
                    std::iter::once(id),
                    InvitationState::Revoked,
                    now,
                )?;
            }
            let event = Event::new(Action::UserChanged, SubjectKind::User, id);
            trail.record(connection, &event.before(&before).after(&profile).about(id))?;
            queries::get(connection, id, now)?.ok_or_else(|| ApiError::internal("gone"))
        })
        .await?;
    Ok(respond::resource(&request, &user))
}

/// The user as it is now, held until the end of the transaction.
fn lock(
    connection: &mut PgConnection,
    id: Uuid,
    wanted: Option<&etag::Tags>,
    now: chrono::DateTime<chrono::Utc>,
) -> Result<User, ApiError> {
    if !queries::lock(connection, id)? {
        return Err(ApiError::not_found("user"));
    }
    let user = queries::get(connection, id, now)?.ok_or_else(|| ApiError::not_found("user"))?;
    match wanted {
        Some(tags) if !tags.match_strongly(&etag::of(&user)) => {
            Err(ApiError::precondition_failed())
        }
        _ => Ok(user),
    }
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
        (status = 409, description = "`user_has_devices`: the user holds devices", body = crate::http::problem::Problem),
        (status = 412, description = "The user has changed since", body = crate::http::problem::Problem),
    )
)]
#[delete("/users/{id}")]
async fn delete_user(
    state: web::Data<State>,
    request: HttpRequest,
    Id(id): Id,
) -> Result<HttpResponse, ApiError> {
    let wanted = tags(&request, header::IF_MATCH);
    let clock = state.clock.clone();
    let trail = Trail::current();
    state
        .db
        .transaction(move |connection| {
            let now = clock.now();
            let user = lock(connection, id, wanted.as_ref(), now)?;
            if user.device_count > 0 {
                return Err(ApiError::new(
                    409,
                    "user_has_devices",
                    "The user holds devices; retire them first, with DELETE /devices/{id}.",
                ));
            }
            // Also one whose time is over: no pending invitation is left without a user.
            ending::let_go(connection, id, now)?;
            queries::delete(connection, id)?;
            let event = Event::new(Action::UserDeleted, SubjectKind::User, id);
            trail.record(connection, &event)?;
            Ok::<_, ApiError>(())
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
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
        (status = 412, description = "The user has changed since", body = crate::http::problem::Problem),
    )
)]
#[put("/users/{id}/password")]
async fn set_user_password(
    state: web::Data<State>,
    request: HttpRequest,
    Id(id): Id,
    body: Body<SetPassword>,
) -> Result<HttpResponse, ApiError> {
    let hash = state.hasher.hash(body.value.password).await?;
    let wanted = tags(&request, header::IF_MATCH);
    let (now, trail) = (state.clock.now(), Trail::current());
    state
        .db
        .transaction(move |connection| {
            lock(connection, id, wanted.as_ref(), now)?;
            queries::set_password(connection, id, &hash, now)?;
            let event = Event::new(Action::UserPasswordSet, SubjectKind::User, id);
            trail.record(connection, &event)?;
            Ok::<_, ApiError>(())
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
