//! `/batches`.

mod events;
mod resend;

use actix_web::{HttpRequest, HttpResponse, get, post, web};
use diesel::PgConnection;
use uuid::Uuid;

use super::{
    cancel::{self, Canceled},
    domain::{Batch, ResultsQuery},
    queries::{self, ResultRow},
};
use crate::{
    audit::Trail,
    db::DbError,
    http::{
        error::ApiError,
        extract::{OptionalBody, Params},
        list::{self, List},
        once::{Done, Once},
        paging::{Page, Position},
        problem::Problem,
        resource::{self, Id},
        route::Register,
    },
    invitations::{domain::NoOptions, send::BatchResult},
    model::{
        caller::{Caller, Permission},
        named::Named,
    },
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    events::routes(api);
    resend::routes(api);
    api.permit(Permission::Read, get_batch)
        .permit(Permission::Read, list_batch_results)
        .permit(Permission::Manage, cancel_batch);
}

/// Get a batch
///
/// With counts of where its messages are now, and what has waited for more than an hour.
#[utoipa::path(
    tag = "batches", params(("id" = Uuid, Path, description = "The batch's id")),
    responses((status = 200, description = "The batch", body = Batch))
)]
#[get("/batches/{id}")]
async fn get_batch(
    state: web::Data<State>,
    request: HttpRequest,
    Id(id, ..): Id<Batch>,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    resource::read(&state, &request, move |connection| {
        queries::get(connection, id, now)
    })
    .await
}

/// What happened to the recipients of a batch.
struct BatchResults(Uuid);

/// Sorts those who were skipped behind those who were invited.
const SKIPPED: &str = "skipped";

impl List for BatchResults {
    type Row = ResultRow;

    fn scope(&self) -> String {
        format!("batch results {}", self.0)
    }

    fn rows(
        &self,
        connection: &mut PgConnection,
        after: Option<&Position>,
        limit: i64,
    ) -> Result<Vec<ResultRow>, DbError> {
        let after = after.map(|after| (after.key == SKIPPED, after.id));
        queries::results(connection, self.0, after, limit)
    }

    fn count(&self, connection: &mut PgConnection) -> Result<i64, DbError> {
        Ok(queries::recipients(connection, self.0)?.unwrap_or(0))
    }

    fn position(&self, last: &ResultRow) -> Position {
        Position {
            key: if last.is_skipped() {
                SKIPPED
            } else {
                "created"
            }
            .to_owned(),
            id: last.sort_id,
        }
    }

    fn missing(&self, connection: &mut PgConnection) -> Result<Option<&'static str>, DbError> {
        let is_there = queries::recipients(connection, self.0)?.is_some();
        Ok((!is_there).then_some(Batch::NAME))
    }
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
    Id(id, ..): Id<Batch>,
    Params(mut asked): Params<ResultsQuery>,
) -> Result<HttpResponse, ApiError> {
    list::page(&state, &request, asked.paging(), BatchResults(id)).await
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
    trail: Trail,
    caller: Caller,
    Id(id, ..): Id<Batch>,
    once: Once<OptionalBody<NoOptions>>,
) -> Result<HttpResponse, ApiError> {
    let work = move |connection: &mut PgConnection| match cancel::cancel(connection, &trail, id)? {
        Canceled::Now(batch) => Ok(Done::ok(batch)),
        Canceled::Before(batch) => Ok(Done::before(batch)),
        Canceled::NotFound => Err(ApiError::not_found(Batch::NAME)),
        Canceled::NothingLeft => Err(ApiError::new(
            409,
            "already_done",
            "Nothing of this batch is still to be sent; revoke its invitations instead.",
        )),
    };
    let (answer, done) = once.key.patient_if(true).run(&state, work).await?;
    if let Some(batch) = done {
        tracing::info!(
            caller = caller.label(), batch_id = %id, suppressed = batch.counts.suppressed,
            on_the_wire = batch.counts.queued, "a batch is canceled"
        );
    }
    Ok(answer)
}
