//! Resending and revoking invitations.

use actix_web::{HttpResponse, post, web};
use diesel::PgConnection;

use crate::{
    audit::Trail,
    http::{
        error::ApiError,
        extract::{Body, OptionalBody, SELECTION},
        once::{Done, Once},
        problem::Problem,
        resource::Id,
        route::Register,
    },
    invitations::{
        domain::{Invitation, NoOptions, ResendManyRequest, ResendRequest},
        lifecycle::{self, Resent, Results, Revoked},
        plan::MailsADay,
    },
    model::{
        caller::{Caller, Permission},
        named::Named,
    },
    selection::{domain::Selection, refusal::check},
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    api.permit(Permission::Manage, resend_invitations)
        .permit(Permission::Manage, revoke_invitations)
        .permit(Permission::Manage, resend_invitation)
        .permit(Permission::Manage, revoke_invitation);
}

fn resent(outcome: Resent) -> Result<Invitation, ApiError> {
    Err(match outcome {
        Resent::Queued(invitation) => return Ok(*invitation),
        Resent::NotFound => ApiError::not_found(Invitation::NAME),
        Resent::NotPending => ApiError::new(
            409,
            "not_pending",
            "This invitation is no longer pending; send the user a new one.",
        ),
        Resent::NoEmail => ApiError::new(
            409,
            "no_email",
            "The user has no e-mail address to resend it to.",
        ),
        Resent::EmailSuppressed => ApiError::new(
            409,
            "email_suppressed",
            "A mail to the user's address came back for good. Change the address, or lift its suppression at /suppressions.",
        ),
        Resent::MailedTooOften(wait) => ApiError {
            retry_after: Some(wait),
            ..ApiError::new(
                429,
                "mailed_too_often",
                "The user was mailed as many invitations in the last 24 hours as anybody may get (ENLIST_MAIL_PER_USER_DAY); \
                 try again after `Retry-After` seconds, or hand over the PIN or QR code yourself.",
            )
        },
        Resent::TooSoon(wait) => ApiError {
            retry_after: Some(wait),
            ..ApiError::new(
                429,
                "resent_recently",
                "This invitation was resent less than a minute ago; try again after `Retry-After` seconds.",
            )
        },
    })
}

fn revoked(outcome: Revoked) -> Result<Invitation, ApiError> {
    Err(match outcome {
        Revoked::Ended(invitation) => return Ok(*invitation),
        Revoked::NotFound => ApiError::not_found(Invitation::NAME),
        Revoked::Completed => ApiError::new(
            409,
            "already_completed",
            "A device was enrolled with this invitation; retire the device instead.",
        ),
    })
}

/// Resend an invitation
///
/// Mails it again, at once: the same PIN or QR code, or a new one if `new_pin` says so, or if the PIN's life is over or
/// its tries are used up. The count of wrong PINs starts anew, and a pause after wrong ones ends. Once a minute at most.
#[utoipa::path(
    tag = "invitations", request_body(content = Option<ResendRequest>, content_type = "application/json"),
    params(
        ("id" = Uuid, Path, description = "The invitation's id"),
        ("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key and body gets the first answer"),
    ),
    responses(
        (status = 202, description = "Its message is queued", body = Invitation),
        (status = 409, description = "`not_pending`; `no_email`: the user has no address; or `email_suppressed`: a mail to it came back for good", body = Problem),
        (status = 429, description = "`resent_recently`: less than 60 s ago; or `mailed_too_often`: the user had enough invitation mails within 24 hours", body = Problem),
    )
)]
#[post("/invitations/{id}/resend")]
async fn resend_invitation(
    state: web::Data<State>,
    trail: Trail,
    caller: Caller,
    mails_a_day: web::Data<MailsADay>,
    Id(id, ..): Id<Invitation>,
    once: Once<OptionalBody<ResendRequest>>,
) -> Result<HttpResponse, ApiError> {
    let (new_pin, mails_a_day) = (once.value.new_pin, **mails_a_day);
    let keys = state.keys.clone();
    let work = move |connection: &mut PgConnection| {
        let outcome = lifecycle::resend(connection, &trail, &keys, id, new_pin, mails_a_day)?;
        let invitation = resent(outcome)?;
        let user = invitation.user_id;
        Ok(Done::accepted(invitation).about(user))
    };
    let (answer, done) = once.key.in_turn().run(&state, work).await?;
    if done.is_some() {
        state.bell.notify_one();
        tracing::info!(caller = caller.label(), invitation_id = %id, new_pin, "an invitation is resent");
    }
    Ok(answer)
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
    trail: Trail,
    caller: Caller,
    Id(id, ..): Id<Invitation>,
    once: Once<OptionalBody<NoOptions>>,
) -> Result<HttpResponse, ApiError> {
    let work = move |connection: &mut PgConnection| {
        let invitation = revoked(lifecycle::revoke(connection, &trail, id)?)?;
        let user = invitation.user_id;
        Ok(Done::ok(invitation).about(user))
    };
    let (answer, done) = once.key.run(&state, work).await?;
    if let Some(invitation) = done {
        tracing::info!(caller = caller.label(), invitation_id = %id, state = %invitation.state, "an invitation is revoked");
    }
    Ok(answer)
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
    trail: Trail,
    caller: Caller,
    mails_a_day: web::Data<MailsADay>,
    once: Once<Body<ResendManyRequest, SELECTION>>,
) -> Result<HttpResponse, ApiError> {
    let (selection, new_pin) = once.value.into_parts();
    let mails_a_day = **mails_a_day;
    check(&selection)?;
    let is_large = selection.may_be_large();
    let work = move |connection: &mut PgConnection| {
        let done = lifecycle::resend_many(connection, &trail, &selection, new_pin, mails_a_day)?;
        Ok(Done::accepted(done))
    };
    let key = once.key.in_turn().patient_if(is_large);
    let (answer, done) = key.run(&state, work).await?;
    if let Some(done) = done {
        state.bell.notify_one();
        tracing::info!(
            caller = caller.label(),
            resent = done.accepted_count,
            skipped = done.skipped_count,
            new_pin,
            "invitations are resent"
        );
    }
    Ok(answer)
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
    trail: Trail,
    caller: Caller,
    once: Once<Body<Selection, SELECTION>>,
) -> Result<HttpResponse, ApiError> {
    let selection = once.value;
    check(&selection)?;
    let is_large = selection.may_be_large();
    let work = move |connection: &mut PgConnection| {
        let done = lifecycle::revoke_many(connection, &trail, &selection)?;
        Ok(Done::ok(done))
    };
    let key = once.key.patient_if(is_large);
    let (answer, done) = key.run(&state, work).await?;
    if let Some(done) = done {
        tracing::info!(
            caller = caller.label(),
            revoked = done.accepted_count,
            skipped = done.skipped_count,
            "invitations are revoked"
        );
    }
    Ok(answer)
}
