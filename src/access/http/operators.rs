//! `/operators`: who may use the frontend.

use actix_web::{HttpRequest, HttpResponse, delete, get, http::header, patch, post, put, web};
use diesel::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::{keys::position, sessions::check};
use crate::{
    access::{
        domain::{ChangePassword, CreateOperator, Operator, PageQuery, PatchOperator},
        operators, sessions,
    },
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    db::DbError,
    guessing::counter::{self, Secret},
    http::{
        error::ApiError,
        etag,
        extract::{Body, Id, Params, tags},
        idempotent::{self, Answer, Scope},
        paging::{self, Page},
        problem::Problem,
        respond,
        route::Register,
    },
    model::{
        caller::{Caller, Permission},
        secret_input::SetPassword,
        wire::Fault,
    },
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    api.permit(Permission::Administer, list_operators)
        .permit(Permission::Administer, create_operator)
        // Before `/operators/{id}/password`: the first match decides.
        .permit(Permission::OwnSession, change_own_password)
        .permit(Permission::Administer, get_operator)
        .permit(Permission::Administer, change_operator)
        .permit(Permission::Administer, delete_operator)
        .permit(Permission::Administer, set_operator_password)
        .permit(Permission::Administer, end_operator_sessions);
}

/// A violated unique index is a 409; all else is as usual.
fn stored_or_taken(error: DbError) -> ApiError {
    if operators::is_taken(&error) {
        ApiError::conflict(
            "already_exists",
            "Another operator has this address (upper and lower case are the same).",
            vec![Fault::new(
                "/email",
                "taken",
                "another operator has this address",
            )],
        )
    } else {
        error.into()
    }
}

/// List operators
///
/// The oldest first.
#[utoipa::path(
    tag = "access", params(PageQuery),
    responses((status = 200, description = "One page", body = Page<Operator>))
)]
#[get("/operators")]
async fn list_operators(
    state: web::Data<State>,
    request: HttpRequest,
    Params(asked): Params<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    let query = "operators";
    let after = asked
        .cursor
        .as_deref()
        .map(|cursor| paging::open(&state.keys, query, cursor))
        .transpose()
        .map_err(|fault| ApiError::invalid(vec![fault]))?;
    let (rows, total) = state
        .db
        .read(move |connection| {
            let rows = operators::list(connection, after.as_ref(), asked.limit.probe())?;
            let total = asked
                .count
                .then(|| operators::count(connection))
                .transpose()?;
            Ok((rows, total))
        })
        .await?;
    let page = Page::of(rows, asked.limit, total, |last| {
        paging::seal(&state.keys, query, &position(last.id))
    });
    Ok(respond::page(
        &request,
        page.write().map_err(ApiError::internal)?,
    ))
}

/// Add an operator
#[utoipa::path(
    tag = "access", request_body = CreateOperator,
    params(("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key and body gets the first answer")),
    responses(
        (status = 201, description = "Added", body = Operator, headers(("Location" = String, description = "The operator"))),
        (status = 409, description = "Another operator has this address", body = Problem),
    )
)]
#[post("/operators")]
async fn create_operator(
    state: web::Data<State>,
    caller: Caller,
    request: HttpRequest,
    body: Body<CreateOperator>,
) -> Result<HttpResponse, ApiError> {
    let scope = Scope::of(
        &request,
        &caller,
        "POST /operators",
        &body.bytes,
        &state.keys,
    )?;
    let (wanted, bytes) = (body.value, body.bytes);
    let hash = state.hasher.hash(wanted.password).await?;
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
                    let operator = Operator {
                        id: shared.clock.new_id(),
                        email: wanted.email.into_string(),
                        role: wanted.role,
                        enabled: true,
                        created_at: now,
                        updated_at: now,
                        last_sign_in_at: None,
                    };
                    operators::insert(connection, &operator, &hash).map_err(stored_or_taken)?;
                    let event =
                        Event::new(Action::OperatorCreated, SubjectKind::Operator, operator.id);
                    trail.record(connection, &event.after(&operator))?;
                    Ok::<_, ApiError>(Answer {
                        status: 201,
                        location: Some(format!("/operators/{}", operator.id)),
                        body: serde_json::to_string(&operator).map_err(ApiError::internal)?,
                        replayed: false,
                    })
                },
            )
        })
        .await?;
    Ok(respond::answer(&answer))
}

/// Get an operator
#[utoipa::path(
    tag = "access", params(("id" = Uuid, Path, description = "The operator's id")),
    responses((status = 200, description = "The operator", body = Operator))
)]
#[get("/operators/{id}")]
async fn get_operator(
    state: web::Data<State>,
    request: HttpRequest,
    Id(id): Id,
) -> Result<HttpResponse, ApiError> {
    let operator = state
        .db
        .read(move |connection| operators::get(connection, id))
        .await?
        .ok_or_else(|| ApiError::not_found("operator"))?;
    Ok(respond::resource(&request, &operator))
}

/// The operator as it is now, held until the end of the transaction; active admins are held first, always in the same
/// order, so that two changes that meet take turns.
fn lock(
    connection: &mut PgConnection,
    id: Uuid,
    wanted: Option<&etag::Tags>,
) -> Result<(Operator, SecretString, Vec<Uuid>), ApiError> {
    let admins = operators::hold_admins(connection)?;
    let (operator, hash) =
        operators::lock(connection, id)?.ok_or_else(|| ApiError::not_found("operator"))?;
    match wanted {
        Some(tags) if !tags.match_strongly(&etag::of(&operator)) => {
            Err(ApiError::precondition_failed())
        }
        _ => Ok((operator, hash, admins)),
    }
}

/// # Errors
/// 409 when nobody could let anybody in any more.
fn check_last(operator: &Operator, admins: &[Uuid]) -> Result<(), ApiError> {
    if operator.is_active_admin() && admins == [operator.id] {
        return Err(ApiError::new(
            409,
            "last_admin",
            "This is the last admin who may sign in; make another one first.",
        ));
    }
    Ok(())
}

/// Change an operator
///
/// A JSON merge patch (RFC 7396). Who is no longer enabled is signed out everywhere; another role holds within a
/// second. The last admin who may sign in stays one.
#[utoipa::path(
    tag = "access", request_body = PatchOperator,
    params(
        ("id" = Uuid, Path, description = "The operator's id"),
        ("If-Match" = Option<String>, Header, description = "Change only the version with this `ETag`"),
    ),
    responses(
        (status = 200, description = "The operator as changed", body = Operator),
        (status = 409, description = "`last_admin`, or another operator has this address", body = Problem),
        (status = 412, description = "The operator has changed since", body = Problem),
    )
)]
#[patch("/operators/{id}")]
async fn change_operator(
    state: web::Data<State>,
    request: HttpRequest,
    Id(id): Id,
    body: Body<PatchOperator>,
) -> Result<HttpResponse, ApiError> {
    let wanted = tags(&request, header::IF_MATCH);
    let (clock, trail) = (state.clock.clone(), Trail::current());
    let operator = state
        .db
        .transaction(move |connection| {
            let (operator, _, admins) = lock(connection, id, wanted.as_ref())?;
            let changed = body
                .value
                .onto(&operator)
                .map_err(|faults| ApiError::invalid(faults.0))?;
            if changed == operator {
                return Ok(operator);
            }
            if !changed.is_active_admin() {
                check_last(&operator, &admins)?;
            }
            let changed = Operator {
                updated_at: clock.now(),
                ..changed
            };
            operators::update(connection, &changed).map_err(stored_or_taken)?;
            let event = Event::new(Action::OperatorChanged, SubjectKind::Operator, id);
            trail.record(connection, &event.before(&operator).after(&changed))?;
            if !changed.enabled {
                sessions::end_all(connection, id, None)?;
            }
            Ok::<_, ApiError>(changed)
        })
        .await?;
    Ok(respond::resource(&request, &operator))
}

/// Delete an operator
///
/// Signed out everywhere; what the operator did stays in the audit log.
#[utoipa::path(
    tag = "access",
    params(
        ("id" = Uuid, Path, description = "The operator's id"),
        ("If-Match" = Option<String>, Header, description = "Delete only the version with this `ETag`"),
    ),
    responses(
        (status = 204, description = "Deleted"),
        (status = 409, description = "`last_admin`", body = Problem),
        (status = 412, description = "The operator has changed since", body = Problem),
    )
)]
#[delete("/operators/{id}")]
async fn delete_operator(
    state: web::Data<State>,
    request: HttpRequest,
    Id(id): Id,
) -> Result<HttpResponse, ApiError> {
    let (wanted, trail) = (tags(&request, header::IF_MATCH), Trail::current());
    state
        .db
        .transaction(move |connection| {
            let (operator, _, admins) = lock(connection, id, wanted.as_ref())?;
            check_last(&operator, &admins)?;
            operators::delete(connection, id)?;
            let event = Event::new(Action::OperatorDeleted, SubjectKind::Operator, id);
            trail.record(connection, &event.before(&operator))?;
            Ok::<_, ApiError>(())
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Set an operator's password
///
/// For one who has forgotten it: signed out everywhere, and no longer locked.
#[utoipa::path(
    tag = "access", request_body = SetPassword,
    params(("id" = Uuid, Path, description = "The operator's id")),
    responses((status = 204, description = "Set"))
)]
#[put("/operators/{id}/password")]
async fn set_operator_password(
    state: web::Data<State>,
    Id(id): Id,
    body: Body<SetPassword>,
) -> Result<HttpResponse, ApiError> {
    let hash = state.hasher.hash(body.value.password).await?;
    let (shared, trail) = (state.clone(), Trail::current());
    state
        .db
        .transaction(move |connection| {
            let (operator, _) =
                operators::lock(connection, id)?.ok_or_else(|| ApiError::not_found("operator"))?;
            operators::set_hash(connection, id, &hash)?;
            sessions::end_all(connection, id, None)?;
            let subject = counter::subject(&shared.keys, Secret::OperatorPassword, &operator.email);
            counter::forget(connection, subject)?;
            let event = Event::new(Action::OperatorPasswordSet, SubjectKind::Operator, id);
            trail.record(connection, &event)?;
            Ok::<_, ApiError>(())
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Change one's own password
///
/// All other sessions end. Wrong tries with the current one are counted as at the sign-in.
#[utoipa::path(
    tag = "access", request_body = ChangePassword,
    responses(
        (status = 204, description = "Changed"),
        (status = 409, description = "`wrong_password`: the current one is another", body = Problem),
        (status = 429, description = "`too_many_attempts`: too many wrong tries; or too many requests", body = Problem),
    )
)]
#[put("/operators/current/password")]
async fn change_own_password(
    state: web::Data<State>,
    caller: Caller,
    body: Body<ChangePassword>,
) -> Result<HttpResponse, ApiError> {
    let (id, session) = (caller.id(), caller.session());
    let operator = state
        .db
        .read(move |connection| operators::get(connection, id))
        .await?
        .ok_or_else(|| ApiError::not_found("operator"))?;
    // No 401: the token is a good one, and a frontend would take it for the end of the session.
    let wrong = || {
        ApiError::conflict(
            "wrong_password",
            "The current password is another.",
            vec![Fault::new(
                "/current_password",
                "wrong_password",
                "is not the current one",
            )],
        )
    };
    let given = body.value.current_password;
    let checked = check(&state, &operator.email, given.0.expose())
        .await?
        .ok_or_else(wrong)?;
    let hash = state.hasher.hash(body.value.password).await?;
    let subject = counter::subject(&state.keys, Secret::OperatorPassword, &operator.email);
    let trail = Trail::current();
    state
        .db
        .transaction(move |connection| {
            let (_, now) = operators::lock(connection, id)?.ok_or_else(wrong)?;
            if now.expose_secret() != checked.hash.expose_secret() {
                return Err(wrong());
            }
            operators::set_hash(connection, id, &hash)?;
            sessions::end_all(connection, id, session)?;
            counter::forget(connection, subject)?;
            let event = Event::new(Action::OperatorPasswordSet, SubjectKind::Operator, id);
            trail.record(connection, &event)?;
            Ok::<_, ApiError>(())
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Sign an operator out everywhere
#[utoipa::path(
    tag = "access", params(("id" = Uuid, Path, description = "The operator's id")),
    responses((status = 204, description = "Signed out, within a second on every instance"))
)]
#[delete("/operators/{id}/sessions")]
async fn end_operator_sessions(
    state: web::Data<State>,
    Id(id): Id,
) -> Result<HttpResponse, ApiError> {
    let trail = Trail::current();
    state
        .db
        .transaction(move |connection| {
            operators::lock(connection, id)?.ok_or_else(|| ApiError::not_found("operator"))?;
            sessions::end_all(connection, id, None)?;
            let event = Event::new(Action::SignedOut, SubjectKind::Operator, id);
            trail.record(connection, &event)?;
            Ok::<_, ApiError>(())
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
