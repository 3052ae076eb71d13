//! `/mail/bounces` and `/suppressions`.

use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};
use diesel::PgConnection;

use super::{
    LARGEST,
    domain::{Filter, LiftQuery, Lifted, ListQuery, ReasonPart, Suppression, Taken},
    suppressions, take,
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
    model::{
        caller::{Caller, Permission},
        identity::Email,
        mail_domain::Domain,
        named::Named,
        wire::Fault,
    },
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    api.permit(Permission::Bounce, take_bounce)
        .permit(Permission::Read, list_suppressions)
        .permit(Permission::Manage, lift_suppressions)
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

impl List for Filter {
    type Row = Suppression;

    fn scope(&self) -> String {
        let email = self.email.as_ref().map(Email::as_str);
        let domain = self.domain.as_ref().map(Domain::as_str);
        let reason = self.reason.as_ref().map(ReasonPart::as_str);
        let before = self.before.map(|before| before.0);
        match (domain, reason, before) {
            // A cursor from before knows no such filters.
            (None, None, None) => list::scope_of(&("suppressions", email, self.user_id)),
            more => list::scope_of(&("suppressions", email, self.user_id, more)),
        }
    }

    fn rows(
        &self,
        connection: &mut PgConnection,
        after: Option<&Position>,
        limit: i64,
    ) -> Result<Vec<Suppression>, DbError> {
        suppressions::list(connection, self, after.map(|after| after.id), limit)
    }

    fn count(&self, connection: &mut PgConnection) -> Result<i64, DbError> {
        suppressions::count(connection, self)
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
    list::page(&state, &request, asked.paging(), asked.filter()).await
}

/// Lift many suppressions
///
/// All that match every filter that is given, and one filter at least is needed; `GET /suppressions` with the same filters
/// lists them before. Mails go to the addresses again. What was not sent meanwhile is not sent now.
#[utoipa::path(
    tag = "mail", params(LiftQuery),
    responses((status = 200, description = "Lifted, or with `dry_run` counted", body = Lifted))
)]
#[delete("/suppressions")]
async fn lift_suppressions(
    state: web::Data<State>,
    trail: Trail,
    caller: Caller,
    Params(asked): Params<LiftQuery>,
) -> Result<HttpResponse, ApiError> {
    let is_dry_run = asked.dry_run;
    let filter = asked.filter().ok_or_else(|| {
        ApiError::invalid(vec![Fault::new(
            "",
            "no_filter",
            "give one or more of domain, reason and before: else every suppression would be lifted",
        )])
    })?;
    if is_dry_run {
        let lifted = state
            .db
            .read(move |connection| suppressions::count(connection, &filter))
            .await?;
        return Ok(HttpResponse::Ok().json(Lifted { lifted }));
    }
    let lifted = state
        .db
        .patient()
        .transaction(move |connection| suppressions::lift_many(connection, &trail, &filter))
        .await?;
    tracing::info!(caller = caller.label(), lifted, "suppressions are lifted");
    let lifted = i64::try_from(lifted).unwrap_or(i64::MAX);
    Ok(HttpResponse::Ok().json(Lifted { lifted }))
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
        suppressions::get(connection, id)
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
        .transaction(move |connection| suppressions::lift(connection, &trail, id))
        .await?
        .ok_or_else(|| ApiError::not_found(Suppression::NAME))?;
    Ok(HttpResponse::NoContent().finish())
}
