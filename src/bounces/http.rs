//! `/mail/bounces` and `/suppressions`.

use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};
use diesel::PgConnection;

use super::{
    LARGEST,
    domain::{ListQuery, Suppression, Taken},
    queries, take,
};
use crate::{
    audit::Trail,
    db::DbError,
    http::{
        error::ApiError,
        extract::{Mail, Params},
        list::{self, List},
        paging::{Page, Position},
        problem::Problem,
        resource::{self, Id},
        route::Register,
    },
    model::{caller::Permission, identity::Email, named::Named},
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    api.permit(Permission::Bounce, take_bounce)
        .permit(Permission::Read, list_suppressions)
        .permit(Permission::Read, get_suppression)
        .permit(Permission::Manage, lift_suppression);
}

/// Report a mail that came back
///
/// Takes a delivery status report (RFC 3464) as it came, also inside of another mail, a complaint (RFC 5965), or what a
/// mail server writes to people alone. It is believed if it has the token of a message of ours, in the envelope address
/// that it went to, as the envelope id, or in the mail that it brings back; what has none changes nothing.
/// Where a mail was given up, its message is `bounced`; and where that is because nobody can be reached at the address,
/// or somebody complained, nothing more is sent to it until the suppression is lifted.
#[utoipa::path(
    tag = "mail",
    request_body(content = String, content_type = "message/rfc822"),
    responses(
        (status = 202, description = "Taken, whatever came of it", body = Taken),
        (status = 413, description = "More than 1 MiB", body = Problem),
        (status = 415, description = "Not `message/rfc822`", body = Problem),
    )
)]
#[post("/mail/bounces")]
async fn take_bounce(
    state: web::Data<State>,
    trail: Trail,
    mail: Mail<LARGEST>,
) -> Result<HttpResponse, ApiError> {
    let keys = state.keys.clone();
    let taken = state
        .db
        .transaction(move |connection| take(connection, &keys, &trail, &mail.0))
        .await?;
    taken.log();
    Ok(HttpResponse::Accepted().json(taken))
}

impl List for ListQuery {
    type Row = Suppression;

    fn scope(&self) -> String {
        let email = self.email.as_ref().map(Email::as_str);
        list::scope_of(&("suppressions", email, self.user_id))
    }

    fn rows(
        &self,
        connection: &mut PgConnection,
        after: Option<&Position>,
        limit: i64,
    ) -> Result<Vec<Suppression>, DbError> {
        queries::list(connection, self, after.map(|after| after.id), limit)
    }

    fn count(&self, connection: &mut PgConnection) -> Result<i64, DbError> {
        queries::count(connection, self)
    }

    fn position(&self, last: &Suppression) -> Position {
        Position::of(last.id)
    }
}

/// List suppressed addresses
///
/// The newest first.
#[utoipa::path(
    tag = "mail", params(ListQuery),
    responses((status = 200, description = "One page", body = Page<Suppression>))
)]
#[get("/suppressions")]
async fn list_suppressions(
    state: web::Data<State>,
    request: HttpRequest,
    Params(mut asked): Params<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    list::page(&state, &request, asked.paging(), asked).await
}

/// Get a suppressed address
#[utoipa::path(
    tag = "mail", params(("id" = Uuid, Path, description = "The suppression's id")),
    responses((status = 200, description = "The suppression", body = Suppression))
)]
#[get("/suppressions/{id}")]
async fn get_suppression(
    state: web::Data<State>,
    request: HttpRequest,
    Id(id, ..): Id<Suppression>,
) -> Result<HttpResponse, ApiError> {
    resource::read(&state, &request, move |connection| {
        queries::get(connection, id)
    })
    .await
}

/// Lift a suppression
///
/// Mails go to the address again. What was not sent meanwhile is not sent now.
#[utoipa::path(
    tag = "mail", params(("id" = Uuid, Path, description = "The suppression's id")),
    responses((status = 204, description = "Lifted"))
)]
#[delete("/suppressions/{id}")]
async fn lift_suppression(
    state: web::Data<State>,
    trail: Trail,
    Id(id, ..): Id<Suppression>,
) -> Result<HttpResponse, ApiError> {
    state
        .db
        .transaction(move |connection| queries::lift(connection, &trail, id))
        .await?
        .ok_or_else(|| ApiError::not_found(Suppression::NAME))?;
    Ok(HttpResponse::NoContent().finish())
}
