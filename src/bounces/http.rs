//! `/mail/bounces` and `/suppressions`.

use actix_web::{HttpRequest, HttpResponse, delete, get, post, web};

use super::{
    LARGEST,
    domain::{ListQuery, Suppression, Taken},
    queries, take,
};
use crate::{
    audit::Trail,
    http::{
        error::ApiError,
        extract::{Id, Mail, Params},
        paging::{self, Page, Position},
        respond,
        route::Register,
    },
    model::caller::Permission,
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
/// Takes a delivery status report (RFC 3464) as it came, also inside of another mail. It is believed if it has the token
/// of a message of ours, in the envelope address that it went to or as the envelope id; what has none changes nothing.
/// Where a mail came back for good, its message is `bounced`; and where that is for the address's sake, nothing more is
/// sent to it until the suppression is lifted.
#[utoipa::path(
    tag = "mail",
    request_body(content = String, content_type = "message/rfc822"),
    responses(
        (status = 202, description = "Taken, whatever came of it", body = Taken),
        (status = 413, description = "More than 1 MiB", body = crate::http::problem::Problem),
        (status = 415, description = "Not `message/rfc822`", body = crate::http::problem::Problem),
    )
)]
#[post("/mail/bounces")]
async fn take_bounce(
    state: web::Data<State>,
    mail: Mail<LARGEST>,
) -> Result<HttpResponse, ApiError> {
    let (keys, trail) = (state.keys.clone(), Trail::current());
    let taken = state
        .db
        .transaction(move |connection| take(connection, &keys, &trail, &mail.0))
        .await?;
    Ok(HttpResponse::Accepted().json(taken))
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
    Params(asked): Params<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    let email = asked.email.as_ref().map(|email| email.as_str().to_owned());
    let query = serde_json::to_string(&("suppressions", email, asked.user_id))
        .map_err(ApiError::internal)?;
    let after = asked
        .cursor
        .as_deref()
        .map(|cursor| paging::open(&state.keys, &query, cursor))
        .transpose()
        .map_err(|fault| ApiError::invalid(vec![fault]))?
        .map(|position| position.id);
    let limit = asked.limit;
    let (rows, total) = state
        .db
        .read(move |connection| {
            let rows = queries::list(connection, &asked, after)?;
            let total = asked
                .count
                .then(|| queries::count(connection, &asked))
                .transpose()?;
            Ok((rows, total))
        })
        .await?;
    let page = Page::of(rows, limit, total, |last| {
        let position = Position {
            key: String::new(),
            id: last.id,
        };
        paging::seal(&state.keys, &query, &position)
    });
    Ok(respond::page(
        &request,
        page.write().map_err(ApiError::internal)?,
    ))
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
    Id(id): Id,
) -> Result<HttpResponse, ApiError> {
    let found = state
        .db
        .read(move |connection| queries::get(connection, id))
        .await?
        .ok_or_else(|| ApiError::not_found("suppression"))?;
    Ok(respond::resource(&request, &found))
}

/// Lift a suppression
///
/// Mails go to the address again. What was not sent meanwhile is not sent now.
#[utoipa::path(
    tag = "mail", params(("id" = Uuid, Path, description = "The suppression's id")),
    responses((status = 204, description = "Lifted"))
)]
#[delete("/suppressions/{id}")]
async fn lift_suppression(state: web::Data<State>, Id(id): Id) -> Result<HttpResponse, ApiError> {
    let trail = Trail::current();
    state
        .db
        .transaction(move |connection| queries::lift(connection, &trail, id))
        .await?
        .ok_or_else(|| ApiError::not_found("suppression"))?;
    Ok(HttpResponse::NoContent().finish())
}
