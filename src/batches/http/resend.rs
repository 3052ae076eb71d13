//! `POST /batches/{id}/resend`.

use actix_web::{HttpResponse, post, web};
use diesel::PgConnection;

use crate::{
    audit::Trail,
    batches::domain::{Batch, ResendBatchRequest},
    http::{
        error::ApiError,
        extract::OptionalBody,
        once::{Done, Once},
        resource::Id,
        route::Register,
    },
    invitations::{
        lifecycle::{self, Results},
        plan::MailsADay,
    },
    model::{
        caller::{Caller, Permission},
        named::Named,
    },
    state::State,
};

/// Adds the handler.
pub fn routes(api: &mut impl Register) {
    api.permit(Permission::Manage, resend_batch);
}

/// Resend what did not arrive of a batch
///
/// Mails its invitations again whose newest mail has failed or bounced, as `POST /invitations/resend` does. Who cannot be
/// mailed is reported and holds nobody else back: an address that is suppressed, an invitation that is not pending any
/// more. The mails are no part of the batch's counts; `GET /invitations` has each invitation's `delivery`.
#[utoipa::path(
    tag = "batches", request_body(content = Option<ResendBatchRequest>, content_type = "application/json"),
    params(
        ("id" = Uuid, Path, description = "The batch's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key and body gets the first answer"),
    ),
    responses((status = 202, description = "Their messages are queued", body = Results))
)]
#[post("/batches/{id}/resend")]
async fn resend_batch(
    state: web::Data<State>,
    trail: Trail,
    caller: Caller,
    mails_a_day: web::Data<MailsADay>,
    Id(id, ..): Id<Batch>,
    once: Once<OptionalBody<ResendBatchRequest>>,
) -> Result<HttpResponse, ApiError> {
    let (states, mails_a_day) = (once.value.states(), **mails_a_day);
    let work = move |connection: &mut PgConnection| {
        lifecycle::resend_batch(connection, &trail, id, &states, mails_a_day)?
            .map(Done::accepted)
            .ok_or_else(|| ApiError::not_found(Batch::NAME))
    };
    let key = once.key.in_turn().patient_if(true);
    let (answer, done) = key.run(&state, work).await?;
    if let Some(done) = done {
        state.bell.notify_one();
        tracing::info!(
            caller = caller.label(),
            batch_id = %id,
            resent = done.accepted_count,
            skipped = done.skipped_count,
            "a batch's invitations are resent"
        );
    }
    Ok(answer)
}
