//! `/batches`.

mod events;

use actix_web::{HttpRequest, HttpResponse, get, post, web};

use super::{
    cancel::{self, Canceled},
    domain::{Batch, ResultsQuery},
    queries,
};
use crate::{
    audit::domain::{Action, Event, SubjectKind},
    http::{
        error::ApiError,
        extract::{Id, OptionalBody, Params},
        idempotent::Scope,
        paging::{self, Page, Position},
        problem::Problem,
        respond,
        route::Register,
    },
    invitations::{domain::NoOptions, http::lifecycle::once, send::BatchResult},
    model::caller::{Caller, Permission},
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    events::routes(api);
    api.permit(Permission::Read, get_batch)
        .permit(Permission::Read, list_batch_results)
        .permit(Permission::Manage, cancel_batch);
}

/// Get a batch
///
/// With counts of where its messages are now.
#[utoipa::path(
    tag = "batches", params(("id" = Uuid, Path, description = "The batch's id")),
    responses((status = 200, description = "The batch", body = Batch))
)]
#[get("/batches/{id}")]
async fn get_batch(
    state: web::Data<State>,
    request: HttpRequest,
    Id(id): Id,
) -> Result<HttpResponse, ApiError> {
    let batch = state
        .db
        .read(move |connection| queries::batch(connection, id))
        .await?
        .ok_or_else(|| ApiError::not_found("batch"))?;
    Ok(respond::resource(&request, &batch))
}

/// List a batch's results
///
/// Every recipient: the invitations that were created, then who was skipped and why.
#[utoipa::path(
    tag = "batches", params(("id" = Uuid, Path, description = "The batch's id"), ResultsQuery),
    responses((status = 200, description = "One page", body = Page<BatchResult>))
)]
#[get("/batches/{id}/results")]
async fn list_batch_results(
    state: web::Data<State>,
    request: HttpRequest,
    Id(id): Id,
    Params(asked): Params<ResultsQuery>,
) -> Result<HttpResponse, ApiError> {
    let query = format!("batch results {id}");
    let after = asked
        .cursor
        .as_deref()
        .map(|cursor| paging::open(&state.keys, &query, cursor))
        .transpose()
        .map_err(|fault| ApiError::invalid(vec![fault]))?
        .map(|position| (position.key == "skipped", position.id));
    let limit = asked.limit;
    let (rows, recipients) = state
        .db
        .read(move |connection| {
            let Some(batch) = queries::batch(connection, id)? else {
                return Ok(None);
            };
            let rows = queries::results(connection, id, after, limit.probe())?;
            Ok(Some((rows, batch.counts.recipients)))
        })
        .await?
        .ok_or_else(|| ApiError::not_found("batch"))?;
    let total = asked.count.then_some(recipients);
    let page = Page::of(rows, limit, total, |(skipped, id, _)| {
        let key = if *skipped { "skipped" } else { "created" };
        paging::seal(
            &state.keys,
            &query,
            &Position {
                key: key.to_owned(),
                id: *id,
            },
        )
    });
    let page = page.map(|(_, _, result)| result).write();
    Ok(respond::page(&request, page.map_err(ApiError::internal)?))
}

/// Cancel a batch
///
/// What no mail server has accepted yet is not sent, and its invitations are revoked. What is being sent at this
/// moment may still be accepted; if it is not, it is not tried again. Who has the mail keeps the invitation.
#[utoipa::path(
    tag = "batches", request_body(content = Option<NoOptions>, content_type = "application/json"),
    params(
        ("id" = Uuid, Path, description = "The batch's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key and body gets the first answer"),
    ),
    responses(
        (status = 200, description = "It is canceled", body = Batch),
        (status = 409, description = "`already_done`: nothing is left to cancel", body = Problem),
    )
)]
#[post("/batches/{id}/cancel")]
async fn cancel_batch(
    state: web::Data<State>,
    caller: Caller,
    request: HttpRequest,
    Id(id): Id,
    body: OptionalBody<NoOptions>,
) -> Result<HttpResponse, ApiError> {
    let route = format!("POST /batches/{id}/cancel");
    let scope = Scope::of(&request, &caller, &route, &body.bytes, &state.keys)?;
    once(
        &state,
        scope,
        body.bytes,
        200,
        move |connection, state| match cancel::cancel(connection, id, state.clock.now())? {
            Canceled::Now(batch) => {
                tracing::info!(
                    caller = caller.label(), batch_id = %id, suppressed = batch.counts.suppressed,
                    on_the_wire = batch.counts.queued, "a batch is canceled"
                );
                let event = Event::new(Action::BatchCanceled, SubjectKind::Batch, id);
                Ok((batch, Some(event)))
            }
            Canceled::Before(batch) => Ok((batch, None)),
            Canceled::NotFound => Err(ApiError::not_found("batch")),
            Canceled::NothingLeft => Err(ApiError::new(
                409,
                "already_done",
                "Nothing of this batch is still to be sent; revoke its invitations instead.",
            )),
        },
    )
    .await
}
