//! Changing, deleting and erasing a user, and setting a password. Each runs inside a transaction.

use diesel::PgConnection;
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use super::{
    domain::{PatchUser, User},
    queries::{self, Taken},
};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    devices,
    guessing::counter::{self, Secret},
    http::{error::ApiError, idempotent, resource::Expected},
    invitations::ending,
    model::invitation::State as InvitationState,
    secrets::keys::KeyRing,
};

/// The user as it is now, held until the end of the transaction.
fn held(
    connection: &mut PgConnection,
    trail: &Trail,
    id: Uuid,
    expected: &Expected,
) -> Result<User, ApiError> {
    let user = match queries::lock(connection, id)? {
        true => queries::get(connection, id, trail.clock.now())?,
        false => None,
    };
    expected.of(user)
}

/// Changes a user. Disabling one revokes a pending invitation.
///
/// # Errors
/// 404, 412; 409 when another user has the username or address; 422 when no valid user would be left.
pub fn change(
    connection: &mut PgConnection,
    trail: &Trail,
    id: Uuid,
    expected: &Expected,
    patch: PatchUser,
) -> Result<User, ApiError> {
    let user = held(connection, trail, id, expected)?;
    let (was_enabled, before) = (user.enabled, user.profile());
    let mut profile = before.clone();
    profile.apply(patch)?;
    if profile == before {
        return Ok(user);
    }
    let now = trail.clock.now();
    queries::update(connection, id, &profile, now).map_err(queries::stored_or_taken)?;
    let mut clashes = queries::taken(connection, id, &profile)?;
    // A name from before the change may be another user's (`name_clash`).
    clashes.retain(|field| match field {
        Taken::Username => profile.username != before.username,
        Taken::Email => profile.email != before.email,
    });
    if !clashes.is_empty() {
        return Err(queries::already_taken(&clashes));
    }
    if was_enabled && !profile.enabled {
        let revoked = InvitationState::Revoked;
        ending::end_pending(connection, std::iter::once(id), revoked, now)?;
    }
    let event = Event::new(Action::UserChanged, SubjectKind::User, id);
    trail.record(connection, &event.before(&before).after(&profile).about(id))?;
    queries::get(connection, id, now)?.ok_or_else(|| ApiError::internal("gone"))
}

/// Deletes a user. A pending invitation is revoked.
///
/// # Errors
/// 404, 412; 409 while the user holds devices.
pub fn delete(
    connection: &mut PgConnection,
    trail: &Trail,
    id: Uuid,
    expected: &Expected,
) -> Result<(), ApiError> {
    let user = held(connection, trail, id, expected)?;
    if user.device_count > 0 {
        return Err(ApiError::new(
            409,
            "user_has_devices",
            "The user holds devices; retire them first, with DELETE /devices/{id}, or do both with POST /users/{id}/erase.",
        ));
    }
    remove(connection, trail, id)
}

/// Retires the devices of a user and deletes the user, and what the devices were known by.
///
/// # Errors
/// 404, 412.
pub fn erase(
    connection: &mut PgConnection,
    trail: &Trail,
    id: Uuid,
    expected: &Expected,
) -> Result<(), ApiError> {
    held(connection, trail, id, expected)?;
    let retired = devices::queries::retire_all(connection, id, trail.clock.now())?;
    devices::queries::forget_names(connection, id)?;
    // Not about the person, with whom its details would go: it has ids alone.
    let event = Event::new(Action::UserErased, SubjectKind::User, id);
    trail.record(
        connection,
        &event.after(&json!({"retired_device_ids": retired})),
    )?;
    remove(connection, trail, id)
}

/// Deletes a user who is held, and what else tells of the person (docs/operating.md, "What is left of a person").
fn remove(connection: &mut PgConnection, trail: &Trail, id: Uuid) -> Result<(), ApiError> {
    // Also one whose time is over: no pending invitation is left without a user.
    ending::let_go(connection, id, trail.clock.now())?;
    idempotent::forget_about(connection, id)?;
    queries::delete(connection, id)?;
    let event = Event::new(Action::UserDeleted, SubjectKind::User, id);
    Ok(trail.record(connection, &event)?)
}

/// Sets a user's password. What was wrongly tried with one before counts no more.
///
/// # Errors
/// 404, 412.
pub fn set_password(
    connection: &mut PgConnection,
    trail: &Trail,
    keys: &KeyRing,
    id: Uuid,
    expected: &Expected,
    hash: &SecretString,
) -> Result<(), ApiError> {
    held(connection, trail, id, expected)?;
    queries::set_password(connection, id, hash, trail.clock.now())?;
    counter::forget_user(connection, keys, Secret::UserPassword, id)?;
    let event = Event::new(Action::UserPasswordSet, SubjectKind::User, id);
    Ok(trail.record(connection, &event)?)
}
