//! Live PINs, of one invitation or of many users: derived when somebody asks, stored nowhere.

use chrono::{DateTime, Utc};
use diesel::{connection::SimpleConnection, prelude::*};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::queries::{self, Derivation};
use crate::{
    db::CUSTOM_PLAN,
    secrets::{
        keys::{KeyRing, MissingKey},
        pin::Pin,
    },
    selection::{
        domain::Selection,
        queries::{Person, SelectionError, people},
    },
    string_enum,
};

/// The most users whose PINs one request gets.
const MOST_USERS: usize = 1_000;

/// A live PIN.
#[derive(Serialize, ToSchema)]
pub struct LivePin {
    pub pin: String,
    /// Until when it works; the invitation's end as long as the PIN's own life has not begun.
    pub expires_at: DateTime<Utc>,
}

/// The PIN of a pending invitation that has one; `None` once its life is over, or it was guessed at too often.
///
/// # Errors
/// When the key that it derives from is not configured.
pub fn live(
    keys: &KeyRing,
    derivation: &Derivation,
    now: DateTime<Utc>,
) -> Result<Option<LivePin>, MissingKey> {
    let expires_at = derivation.valid_until.unwrap_or(derivation.expires_at);
    if expires_at <= now || derivation.is_used_up {
        return Ok(None);
    }
    let key = keys.require(&derivation.key_id)?;
    let pin = Pin::derive(
        key,
        derivation.id,
        derivation.counter,
        derivation.pin_length,
    );
    Ok(Some(LivePin {
        pin: pin.expose().to_owned(),
        expires_at,
    }))
}

/// A user's live PIN.
#[derive(Serialize, ToSchema)]
pub struct UserPin {
    pub user_id: Uuid,
    pub display_name: String,
    pub username: String,
    #[schema(required)]
    pub email: Option<String>,
    pub invitation_id: Uuid,
    pub pin: String,
    /// Until when it works; the invitation's end as long as the PIN's own life has not begun.
    pub expires_at: DateTime<Utc>,
}

string_enum! {
    /// Why a user has no PIN to show.
    NoPin {
        /// No invitation with a PIN is pending, or the PIN's life is over, or it was guessed at too often.
        NoPendingPin = "no_pending_pin",
    }
}

/// A selected user without a live PIN.
#[derive(Serialize, ToSchema)]
pub struct WithoutPin {
    pub user_id: Uuid,
    pub reason: NoPin,
}

/// The answer of `POST /invitations/pins`.
#[derive(Serialize, ToSchema)]
pub struct Pins {
    /// In the order of the users' ids.
    pub data: Vec<UserPin>,
    /// Who was selected and has no live PIN.
    pub skipped: Vec<WithoutPin>,
}

/// Why there are no PINs.
#[derive(Debug, thiserror::Error)]
pub enum PinsError {
    #[error(transparent)]
    Selection(#[from] SelectionError),
    #[error(transparent)]
    Key(#[from] MissingKey),
}

/// The live PINs of everybody who is selected. Runs inside a transaction, which it makes of one
/// moment.
///
/// # Errors
/// [`PinsError`].
pub fn of_users(
    connection: &mut PgConnection,
    keys: &KeyRing,
    selection: &Selection,
    now: DateTime<Utc>,
) -> Result<Pins, PinsError> {
    connection
        .batch_execute(&format!(
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; {CUSTOM_PLAN}"
        ))
        .map_err(SelectionError::from)?;
    let people = people(connection, selection, MOST_USERS, now)?;
    let ids: Vec<Uuid> = people.iter().map(|person| person.id).collect();
    let mut pending = queries::pending_pins(connection, &ids, now).map_err(SelectionError::from)?;
    let mut pins = Pins {
        data: Vec::new(),
        skipped: Vec::new(),
    };
    for person in people {
        let found = match pending.remove(&person.id) {
            Some(derivation) => live(keys, &derivation, now)?.map(|pin| (derivation.id, pin)),
            None => None,
        };
        match found {
            Some((invitation, pin)) => pins.data.push(shown(person, invitation, pin)),
            None => pins.skipped.push(WithoutPin {
                user_id: person.id,
                reason: NoPin::NoPendingPin,
            }),
        }
    }
    Ok(pins)
}

fn shown(person: Person, invitation_id: Uuid, live: LivePin) -> UserPin {
    UserPin {
        user_id: person.id,
        display_name: person.display_name,
        username: person.username,
        email: person.email,
        invitation_id,
        pin: live.pin,
        expires_at: live.expires_at,
    }
}
