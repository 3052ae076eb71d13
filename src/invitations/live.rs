//! The live secrets of one invitation, for an administrator who shows them. Each look is written down before it is answered.

use diesel::PgConnection;
use uuid::Uuid;

use super::{
    domain::Invitation,
    pins::{self, LivePin, Pins},
    queries::{self, Derivation},
};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    http::error::ApiError,
    mail::letter::Writer,
    model::{
        invitation::{Method, State as InvitationState},
        named::Named,
    },
    outbox::registrations::Registrations,
    secrets::{keys::KeyRing, token},
    selection::domain::Selection,
    state::State,
};

fn not_applicable(detail: &'static str) -> ApiError {
    ApiError::new(409, "not_applicable", detail)
}

/// A pending invitation whose method has what is asked for.
async fn live(
    state: &State,
    id: Uuid,
    applies: fn(Method) -> bool,
) -> Result<Derivation, ApiError> {
    let now = state.clock.now();
    let derivation = state
        .db
        .read(move |connection| queries::derivation(connection, id, now))
        .await?
        .ok_or_else(|| ApiError::not_found(Invitation::NAME))?;
    if !applies(derivation.method) {
        return Err(not_applicable("This invitation's method does not use it."));
    }
    if derivation.state != InvitationState::Pending {
        return Err(not_applicable("This invitation is no longer pending."));
    }
    Ok(derivation)
}

/// The PIN.
///
/// # Errors
/// 404; 409 where there is no live PIN.
pub async fn pin(state: &State, id: Uuid) -> Result<LivePin, ApiError> {
    let derivation = live(state, id, Method::has_pin).await?;
    pins::live(&state.keys, &derivation, state.clock.now())
        .map_err(ApiError::internal)?
        .ok_or_else(|| {
            not_applicable("The PIN has expired, or was guessed at too often; send the invitation again for a new one.")
        })
}

/// What the QR code says, as the invitation's message says it.
///
/// # Errors
/// 404; 409 where there is no live QR code.
pub async fn qr(
    state: &State,
    writer: &Writer,
    registrations: &Registrations,
    id: Uuid,
) -> Result<String, ApiError> {
    let live = live(state, id, |method| method == Method::Qr).await?;
    let (registrations, version) = (registrations.clone(), live.registration_id);
    let registration = state
        .db
        .read(move |connection| registrations.get(connection, version))
        .await?;
    let key = state
        .keys
        .require(&live.key_id)
        .map_err(ApiError::internal)?;
    let token = token::mint(key, live.id, live.counter);
    let link = writer.link(&token);
    Ok(registration.qr_payload.says(&token, &link))
}

/// Writes down who looks at an invitation's secret.
///
/// # Errors
/// When the database is not available: then nothing is to be shown.
pub async fn looked(state: &State, trail: Trail, action: Action, id: Uuid) -> Result<(), ApiError> {
    let actor = trail.actor.label();
    state
        .db
        .transaction(move |connection| {
            let event = Event::new(action, SubjectKind::Invitation, id);
            trail.record(connection, &event)
        })
        .await?;
    tracing::info!(caller = actor, invitation_id = %id, %action, "a live secret was shown");
    Ok(())
}

/// The PINs of everybody who is selected, and the event that they were looked at. Runs inside a transaction.
///
/// # Errors
/// As [`pins::of_users`].
pub fn pins_of_users(
    connection: &mut PgConnection,
    trail: &Trail,
    keys: &KeyRing,
    selection: &Selection,
) -> Result<Pins, ApiError> {
    let pins = pins::of_users(connection, keys, selection, trail.clock.now())?;
    let shown: Vec<Uuid> = pins.data.iter().map(|pin| pin.invitation_id).collect();
    let looked = Event::new(Action::PinsViewed, SubjectKind::Invitation, None);
    let details = serde_json::json!({"invitation_ids": shown});
    trail.record(connection, &looked.after(&details))?;
    Ok(pins)
}
