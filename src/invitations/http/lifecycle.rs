//! `/invitations/…/resend`, `/invitations/…/revoke` and `/batches/{id}/cancel`.

use actix_web::{HttpRequest, HttpResponse, post, web};
use diesel::PgConnection;
use serde::Serialize;
use serde_json::json;

use super::{check, from_selection};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    http::{
        error::ApiError,
        extract::{Body, Id, OptionalBody, SELECTION},
        idempotent::{self, Answer, Scope},
        problem::Problem,
        respond,
        route::Register,
    },
    invitations::{
        domain::{Invitation, NoOptions, ResendManyRequest, ResendRequest},
        lifecycle::{self, Resent, Results, Revoked},
    },
    model::caller::{Caller, Permission},
    selection::domain::Selection,
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    api.permit(Permission::Manage, resend_invitations)
        .permit(Permission::Manage, revoke_invitations)
        .permit(Permission::Manage, resend_invitation)
        .permit(Permission::Manage, revoke_invitation);
}

/// Does `work` in a transaction, once for the request's idempotency key, and writes down what it says of it.
pub async fn once<T: Serialize + 'static>(
    state: &web::Data<State>,
    scope: Option<Scope>,
    bytes: web::Bytes,
    status: u16,
    work: impl FnOnce(&mut PgConnection, &State) -> Result<(T, Option<Event>), ApiError>
    + Send
    + 'static,
) -> Result<HttpResponse, ApiError> {
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
                    let (done, event) = work(connection, &shared)?;
                    if let Some(event) = event {
                        trail.record(connection, &event)?;
                    }
                    Ok::<_, ApiError>(Answer {
                        status,
                        location: None,
                        body: serde_json::to_string(&done).map_err(ApiError::internal)?,
                        replayed: false,
                    })
                },
            )
        })
        .await?;
    state.bell.notify_one();
    Ok(respond::answer(&answer))
}

/// Resend an invitation
///
/// Mails it again, at once: the same PIN or QR code, or a new one if `new_pin` says so, or if the PIN's life is over or
/// its tries are used up. The count of wrong PINs starts anew. Once a minute at most.
#[utoipa::path(
    tag = "invitations", request_body(content = Option<ResendRequest>, content_type = "application/json"),
    params(
        ("id" = Uuid, Path, description = "The invitation's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key and body gets the first answer"),
    ),
    responses(
        (status = 202, description = "Its message is queued", body = Invitation),
        (status = 409, description = "`not_pending`; `no_email`: the user has no address; or `email_suppressed`: a mail to it came back for good", body = Problem),
        (status = 429, description = "`resent_recently`: less than 60 s ago", body = Problem),
    )
)]
#[post("/invitations/{id}/resend")]
async fn resend_invitation(
    state: web::Data<State>,
    caller: Caller,
    request: HttpRequest,
    Id(id): Id,
    body: OptionalBody<ResendRequest>,
) -> Result<HttpResponse, ApiError> {
    let route = format!("POST /invitations/{id}/resend");
    let scope = Scope::of(&request, &caller, &route, &body.bytes, &state.keys)?;
    let new_pin = body.value.new_pin;
    once(&state, scope, body.bytes, 202, move |connection, state| {
        match lifecycle::resend(connection, &state.clock, id, new_pin)? {
            Resent::Queued(invitation) => {
                tracing::info!(caller = caller.label(), invitation_id = %id, new_pin, "an invitation is resent");
                let event = Event::new(Action::InvitationsResent, SubjectKind::Invitation, id);
                Ok((invitation, Some(event.after(&json!({"new_pin": new_pin})))))
            }
            Resent::NotFound => Err(ApiError::not_found("invitation")),
            Resent::NotPending => Err(ApiError::new(
                409,
                "not_pending",
                "This invitation is no longer pending; send the user a new one.",
            )),
            Resent::NoEmail => Err(ApiError::new(
                409,
                "no_email",
                "The user has no e-mail address to resend it to.",
            )),
            Resent::EmailSuppressed => Err(ApiError::new(
                409,
                "email_suppressed",
                "A mail to the user's address came back for good. Change the address, or lift its suppression at /suppressions.",
            )),
            Resent::TooSoon(wait) => Err(ApiError {
                retry_after: Some(wait),
                ..ApiError::new(
                    429,
                    "resent_recently",
                    "This invitation was resent less than a minute ago; try again after `Retry-After` seconds.",
                )
            }),
        }
    })
    .await
}

/// Revoke an invitation
///
/// It no longer works, and what was not mailed of it yet is not mailed. One that has ended already stays as it is.
#[utoipa::path(
    tag = "invitations", request_body(content = Option<NoOptions>, content_type = "application/json"),
    params(
        ("id" = Uuid, Path, description = "The invitation's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key and body gets the first answer"),
    ),
    responses(
        (status = 200, description = "It does not work any more", body = Invitation),
        (status = 409, description = "`already_completed`: a device was enrolled with it", body = Problem),
    )
)]
#[post("/invitations/{id}/revoke")]
async fn revoke_invitation(
    state: web::Data<State>,
    caller: Caller,
    request: HttpRequest,
    Id(id): Id,
    body: OptionalBody<NoOptions>,
) -> Result<HttpResponse, ApiError> {
    let route = format!("POST /invitations/{id}/revoke");
    let scope = Scope::of(&request, &caller, &route, &body.bytes, &state.keys)?;
    once(&state, scope, body.bytes, 200, move |connection, state| {
        match lifecycle::revoke(connection, id, state.clock.now())? {
            Revoked::Ended(invitation) => {
                tracing::info!(caller = caller.label(), invitation_id = %id, state = %invitation.state, "an invitation is revoked");
                let event = Event::new(Action::InvitationsRevoked, SubjectKind::Invitation, id);
                Ok((invitation, Some(event)))
            }
            Revoked::NotFound => Err(ApiError::not_found("invitation")),
            Revoked::Completed => Err(ApiError::new(
                409,
                "already_completed",
                "A device was enrolled with this invitation; retire the device instead.",
            )),
        }
    })
    .await
}

/// Resend many invitations
///
/// Those of everybody who is selected, as far as they are pending; who has none, or was resent one less than a minute
/// ago, is reported and holds nobody else back.
#[utoipa::path(
    tag = "invitations", request_body = ResendManyRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key and body gets the first answer")),
    responses((status = 202, description = "Their messages are queued", body = Results))
)]
#[post("/invitations/resend")]
async fn resend_invitations(
    state: web::Data<State>,
    caller: Caller,
    request: HttpRequest,
    body: Body<ResendManyRequest, SELECTION>,
) -> Result<HttpResponse, ApiError> {
    let route = "POST /invitations/resend";
    let scope = Scope::of(&request, &caller, route, &body.bytes, &state.keys)?;
    let (bytes, (selection, new_pin)) = (body.bytes, body.value.into_parts());
    check(&selection)?;
    once(&state, scope, bytes, 202, move |connection, state| {
        let done = lifecycle::resend_many(connection, &state.clock, &selection, new_pin)
            .map_err(from_selection)?;
        tracing::info!(
            caller = caller.label(),
            resent = done.accepted_count,
            skipped = done.skipped_count,
            new_pin,
            "invitations are resent"
        );
        let event = Event::new(Action::InvitationsResent, SubjectKind::Invitation, None).after(
            &json!({"new_pin": new_pin, "accepted_count": done.accepted_count, "skipped_count": done.skipped_count}),
        );
        Ok((done, Some(event)))
    })
    .await
}

/// Revoke many invitations
///
/// Those of everybody who is selected, as far as they are pending.
#[utoipa::path(
    tag = "invitations", request_body = Selection,
    params(("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key and body gets the first answer")),
    responses((status = 200, description = "They do not work any more", body = Results))
)]
#[post("/invitations/revoke")]
async fn revoke_invitations(
    state: web::Data<State>,
    caller: Caller,
    request: HttpRequest,
    body: Body<Selection, SELECTION>,
) -> Result<HttpResponse, ApiError> {
    let route = "POST /invitations/revoke";
    let scope = Scope::of(&request, &caller, route, &body.bytes, &state.keys)?;
    let (bytes, selection) = (body.bytes, body.value);
    check(&selection)?;
    once(&state, scope, bytes, 200, move |connection, state| {
        let done = lifecycle::revoke_many(connection, &selection, state.clock.now())
            .map_err(from_selection)?;
        tracing::info!(
            caller = caller.label(),
            revoked = done.accepted_count,
            skipped = done.skipped_count,
            "invitations are revoked"
        );
        let event = Event::new(Action::InvitationsRevoked, SubjectKind::Invitation, None).after(
            &json!({"accepted_count": done.accepted_count, "skipped_count": done.skipped_count}),
        );
        Ok((done, Some(event)))
    })
    .await
}
