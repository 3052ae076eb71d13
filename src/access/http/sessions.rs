//! `/sessions`: signing in and out.

use actix_web::{HttpRequest, HttpResponse, delete, get, http::header, post, web};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::{
    access::{
        Access,
        domain::{Session, SignIn, SignedIn},
        operators, sessions,
    },
    audit::{
        Trail,
        domain::{Action, Actor, ActorKind, Event, SubjectKind},
    },
    guessing::counter::{self, Secret, Try},
    http::{
        error::ApiError,
        extract::{Body, bearer},
        problem::Problem,
        route::{Needs, Register},
    },
    model::{
        caller::{Caller, Permission},
        secret_input::Password,
    },
    secrets::password::Hasher,
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    api.add(Needs::Secret, sign_in)
        .permit(Permission::OwnSession, get_session)
        .permit(Permission::OwnSession, sign_out)
        .permit(Permission::OwnSession, sign_out_everywhere);
}

/// What a wrong address, a wrong password and an operator who may not sign in have in common.
fn refused() -> ApiError {
    ApiError::new(
        401,
        "invalid_credentials",
        "The address or the password is not right.",
    )
}

/// A password that was compared and is right, or `None`.
pub(super) struct Checked {
    pub operator: Uuid,
    /// The hash that it was right for.
    pub hash: SecretString,
    /// A better one, where that was made with weaker parameters than are used today.
    pub renewed: Option<SecretString>,
}

/// Counts a try, and then compares the password: for nobody with the same work.
///
/// # Errors
/// 429 while the address is locked: five wrong tries lock it for 30 s, doubling to an hour, whether or not there is
/// such an operator.
pub(super) async fn check(
    state: &State,
    email: &str,
    given: &SecretString,
) -> Result<Option<Checked>, ApiError> {
    let (now, subject) = (
        state.clock.now(),
        counter::subject(&state.keys, Secret::OperatorPassword, email),
    );
    let email = email.to_owned();
    let (counted, found) = state
        .db
        .transaction(move |connection| {
            let counted = counter::count_try(connection, subject, now)?;
            Ok::<_, crate::db::DbError>((counted, operators::by_email(connection, &email)?))
        })
        .await?;
    if let Try::Paused(wait) = counted {
        return Err(ApiError {
            retry_after: Some(wait),
            ..ApiError::new(
                429,
                "too_many_attempts",
                "Too many wrong tries. Try again after `Retry-After` seconds.",
            )
        });
    }
    let stored = found.as_ref().map(|(_, hash)| hash.clone());
    let is_right = state.hasher.verify(given.clone(), stored).await?;
    let Some((operator, hash)) = found.filter(|_| is_right) else {
        return Ok(None);
    };
    let renewed = match Password::parse(given.expose_secret()) {
        Ok(password) if Hasher::is_outdated(&hash) => Some(state.hasher.hash(password).await?),
        _ => None,
    };
    Ok(Some(Checked {
        operator,
        hash,
        renewed,
    }))
}

/// Sign in
///
/// Gives a token for `Authorization: Bearer`. A session ends 24 hours after the sign-in, or when it is not used for 8.
/// Wrong tries are counted for the address: five lock it for 30 s, doubling to an hour. What was wrong is not told.
#[utoipa::path(
    tag = "access", request_body = SignIn,
    responses(
        (status = 201, description = "Signed in", body = SignedIn),
        (status = 401, description = "`invalid_credentials`: the address or the password is not right, or the operator may not sign in", body = Problem),
        (status = 429, description = "`too_many_attempts`: too many wrong tries; or too many requests", body = Problem),
    )
)]
#[post("/sessions")]
async fn sign_in(state: web::Data<State>, body: Body<SignIn>) -> Result<HttpResponse, ApiError> {
    let SignIn { email, password } = body.value;
    let checked = check(&state, email.as_str(), password.0.expose())
        .await?
        .ok_or_else(refused)?;
    let subject = counter::subject(&state.keys, Secret::OperatorPassword, email.as_str());
    let (shared, trail) = (state.clone(), Trail::current());
    let signed_in = state
        .db
        .transaction(move |connection| {
            let now = shared.clock.now();
            let (operator, hash) =
                operators::lock(connection, checked.operator)?.ok_or_else(refused)?;
            // Meanwhile the password may have been changed, or the operator barred.
            if !operator.enabled || hash.expose_secret() != checked.hash.expose_secret() {
                return Err(refused());
            }
            if let Some(renewed) = &checked.renewed {
                operators::set_hash(connection, operator.id, renewed)?;
            }
            counter::forget(connection, subject)?;
            operators::note_sign_in(connection, operator.id, now)?;
            let id = shared.clock.new_id();
            let (token, expires_at) = sessions::create(connection, id, operator.id, now)?;
            let trail = Trail {
                actor: Actor {
                    kind: ActorKind::Operator,
                    id: Some(operator.id),
                    name: Some(operator.email.clone()),
                },
                ..trail
            };
            let event = Event::new(Action::SignedIn, SubjectKind::Operator, operator.id);
            trail.record(connection, &event)?;
            Ok(SignedIn {
                token: token.expose_secret().to_owned(),
                expires_at,
                operator: crate::access::domain::Operator {
                    last_sign_in_at: Some(now),
                    ..operator
                },
            })
        })
        .await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, "/sessions/current"))
        .json(signed_in))
}

/// Get one's own session
#[utoipa::path(
    tag = "access",
    responses((status = 200, description = "The session that the request comes in", body = Session))
)]
#[get("/sessions/current")]
async fn get_session(state: web::Data<State>, caller: Caller) -> Result<HttpResponse, ApiError> {
    let (id, operator) = (caller.session().unwrap_or_default(), caller.id());
    let found = state
        .db
        .read(move |connection| {
            let times = sessions::times(connection, id)?;
            Ok(times.zip(operators::get(connection, operator)?))
        })
        .await?;
    // It was ended a moment ago.
    let ((created_at, expires_at), operator) =
        found.ok_or_else(|| ApiError::not_found("session"))?;
    Ok(HttpResponse::Ok().json(Session {
        created_at,
        expires_at,
        operator,
    }))
}

/// Sign out
///
/// The token ends: here at once, on other instances within a second.
#[utoipa::path(tag = "access", responses((status = 204, description = "Signed out")))]
#[delete("/sessions/current")]
async fn sign_out(
    state: web::Data<State>,
    access: web::Data<Access>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (id, operator) = (caller.session().unwrap_or_default(), caller.id());
    let trail = Trail::current();
    state
        .db
        .transaction(move |connection| {
            sessions::end(connection, id)?;
            let event = Event::new(Action::SignedOut, SubjectKind::Operator, operator);
            trail.record(connection, &event)
        })
        .await?;
    forget(&access, &request).await;
    Ok(HttpResponse::NoContent().finish())
}

/// Sign out everywhere
///
/// All of one's own sessions end, this one too: within a second on every instance.
#[utoipa::path(tag = "access", responses((status = 204, description = "Signed out")))]
#[delete("/sessions")]
async fn sign_out_everywhere(
    state: web::Data<State>,
    access: web::Data<Access>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (operator, trail) = (caller.id(), Trail::current());
    state
        .db
        .transaction(move |connection| {
            sessions::end_all(connection, operator, None)?;
            let event = Event::new(Action::SignedOut, SubjectKind::Operator, operator);
            trail.record(connection, &event)
        })
        .await?;
    forget(&access, &request).await;
    Ok(HttpResponse::NoContent().finish())
}

async fn forget(access: &Access, request: &HttpRequest) {
    if let Some(token) = bearer(request.headers()) {
        access.forget(token).await;
    }
}
