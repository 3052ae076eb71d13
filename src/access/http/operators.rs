//! `/operators`: who may use the frontend.

use actix_web::{HttpRequest, HttpResponse, delete, get, patch, post, put, web};
use diesel::PgConnection;

use crate::{
    access::{
        domain::{ChangePassword, CreateOperator, Operator, PageQuery, PatchOperator},
        manage_operators::{self, wrong_password},
        operators,
        sign_in::check_own,
    },
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
    model::{
        caller::{Caller, Permission},
        secret_input::SetPassword,
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
        .permit(Permission::Administer, erase_operator)
        .permit(Permission::Administer, set_operator_password)
        .permit(Permission::Administer, end_operator_sessions);
}

/// All operators.
struct Operators;

impl List for Operators {
    type Row = Operator;

    fn scope(&self) -> String {
        "operators".to_owned()
    }

    fn rows(
        &self,
        connection: &mut PgConnection,
        after: Option<&Position>,
        limit: i64,
    ) -> Result<Vec<Operator>, DbError> {
        operators::list(connection, after, limit)
    }

    fn count(&self, connection: &mut PgConnection) -> Result<i64, DbError> {
        operators::count(connection)
    }

    fn position(&self, last: &Operator) -> Position {
        Position::of(last.id)
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
    Params(mut asked): Params<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    list::page(&state, &request, asked.paging(), Operators).await
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
    trail: Trail,
    once: Once<Body<CreateOperator>>,
) -> Result<HttpResponse, ApiError> {
    let CreateOperator {
        email,
        role,
        password,
    } = once.value;
    let hash = state.hasher.hash(password.into_secret()).await?;
    let work = move |connection: &mut PgConnection| {
        let operator = manage_operators::add(connection, &trail, email, role, &hash)?;
        Ok(Done::created(
            format!("/operators/{}", operator.id),
            operator,
        ))
    };
    Ok(once.key.run(&state, work).await?.0)
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
    Id(id, ..): Id<Operator>,
) -> Result<HttpResponse, ApiError> {
    resource::read(&state, &request, move |connection| {
        operators::get(connection, id)
    })
    .await
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
    trail: Trail,
    request: HttpRequest,
    Id(id, ..): Id<Operator>,
    expected: Expected,
    body: Body<PatchOperator>,
) -> Result<HttpResponse, ApiError> {
    resource::change(&state, &request, move |connection| {
        manage_operators::change(connection, &trail, id, &expected, body.value)
    })
    .await
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
    trail: Trail,
    Id(id, ..): Id<Operator>,
    expected: Expected,
) -> Result<HttpResponse, ApiError> {
    resource::act(&state, move |connection| {
        manage_operators::delete(connection, &trail, id, &expected)
    })
    .await
}

/// Erase an operator
///
/// Deletes the operator, and from the audit log the name, the addresses that the operator's requests came from, and the
/// details of events about the operator; events keep the id. Works for one who was deleted before, and not for oneself.
#[utoipa::path(
    tag = "access",
    params(("id" = Uuid, Path, description = "The operator's id")),
    responses(
        (status = 204, description = "Erased"),
        (status = 409, description = "`last_admin`, or `own_account`", body = Problem),
    )
)]
#[post("/operators/{id}/erase")]
async fn erase_operator(
    state: web::Data<State>,
    trail: Trail,
    Id(id, ..): Id<Operator>,
) -> Result<HttpResponse, ApiError> {
    resource::act(&state, move |connection| {
        manage_operators::erase(connection, &trail, id)
    })
    .await
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
    trail: Trail,
    Id(id, ..): Id<Operator>,
    body: Body<SetPassword>,
) -> Result<HttpResponse, ApiError> {
    let hash = state.hasher.hash(body.value.password.into_secret()).await?;
    let keys = state.keys.clone();
    resource::act(&state, move |connection| {
        manage_operators::set_password(connection, &trail, &keys, id, &hash)
    })
    .await
}

/// Change one's own password
///
/// All other sessions end. Wrong tries with the current one are counted for themselves, with pauses as at the sign-in.
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
    trail: Trail,
    caller: Caller,
    body: Body<ChangePassword>,
) -> Result<HttpResponse, ApiError> {
    let who = (caller.id(), caller.session());
    let given = body.value.current_password;
    let checked = check_own(&state, &trail, &caller, given.0.expose())
        .await?
        .ok_or_else(wrong_password)?;
    let hash = state.hasher.hash(body.value.password.into_secret()).await?;
    let keys = state.keys.clone();
    resource::act(&state, move |connection| {
        manage_operators::change_own_password(connection, &trail, &keys, who, &checked, &hash)
    })
    .await
}

/// Sign an operator out everywhere
#[utoipa::path(
    tag = "access", params(("id" = Uuid, Path, description = "The operator's id")),
    responses((status = 204, description = "Signed out, within a second on every instance"))
)]
#[delete("/operators/{id}/sessions")]
async fn end_operator_sessions(
    state: web::Data<State>,
    trail: Trail,
    Id(id, ..): Id<Operator>,
) -> Result<HttpResponse, ApiError> {
    resource::act(&state, move |connection| {
        manage_operators::sign_out(connection, &trail, id)
    })
    .await
}
