//! `/sessions`: signing in and out.

use actix_web::{HttpRequest, HttpResponse, delete, get, http::header, post, web};
use tokio::time::Instant;

use crate::{
    access::{
        Access,
        domain::{Session, SignIn, SignedIn},
        operators, sessions,
        sign_in::{check, refused, sign_in as begin, sign_out as end},
    },
    audit::Trail,
    guessing::steps,
    http::{
        error::ApiError,
        extract::{Body, SECRET, bearer},
        problem::Problem,
        route::{Needs, Register},
    },
    model::caller::{Caller, Permission},
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    api.add(Needs::Secret, sign_in)
        .permit(Permission::OwnSession, get_session)
        .permit(Permission::OwnSession, sign_out)
        .permit(Permission::OwnSession, sign_out_everywhere);
}

/// Sign in
///
/// Gives a token for `Authorization: Bearer`. A session ends 24 hours after the sign-in, or when it is not used for 8.
/// Wrong tries are counted for the address, whether or not an operator has it: after five from one network there is a pause
/// of 30 s, doubling to an hour, and after twenty from everywhere. An operator who signed in from the same network within 30
/// days is counted apart from others. What was wrong is not told.
#[utoipa::path(
    tag = "access", request_body = SignIn,
    responses(
        (status = 201, description = "Signed in", body = SignedIn),
        (status = 401, description = "`invalid_credentials`: the address or the password is not right, or the operator may not sign in", body = Problem),
        (status = 429, description = "`too_many_attempts`: too many wrong tries; or too many requests, from here or of all strangers", body = Problem),
    )
)]
#[post("/sessions")]
async fn sign_in(
    state: web::Data<State>,
    access: web::Data<Access>,
    trail: Trail,
    body: Body<SignIn, SECRET>,
) -> Result<HttpResponse, ApiError> {
    let begun = Instant::now();
    let signed_in = try_to_sign_in(&state, &access, trail, body.value).await;
    if let Err(ApiError {
        status: 401 | 429, ..
    }) = signed_in
    {
        steps::wait(begun).await;
    }
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, "/sessions/current"))
        .json(signed_in?))
}

async fn try_to_sign_in(
    state: &State,
    access: &Access,
    trail: Trail,
    asked: SignIn,
) -> Result<SignedIn, ApiError> {
    let SignIn { email, password } = asked;
    let checked = check(state, access, &trail, email.as_str(), password.0.expose())
        .await?
        .ok_or_else(refused)?;
    let keys = state.keys.clone();
    let signed_in = state
        .db
        .transaction(move |connection| begin(connection, trail, &keys, &checked))
        .await;
    access.look_again().await;
    signed_in
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
    trail: Trail,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let (operator, session) = (caller.id(), caller.session().unwrap_or_default());
    state
        .db
        .transaction(move |connection| end(connection, &trail, operator, Some(session)))
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
    trail: Trail,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let operator = caller.id();
    state
        .db
        .transaction(move |connection| end(connection, &trail, operator, None))
        .await?;
    forget(&access, &request).await;
    Ok(HttpResponse::NoContent().finish())
}

async fn forget(access: &Access, request: &HttpRequest) {
    if let Some(token) = bearer(request.headers()) {
        access.forget(token).await;
    }
}
