//! Looking after operators. Each change runs inside a transaction.

use diesel::PgConnection;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::{
    domain::{Operator, PatchOperator},
    known, operators, sessions,
    sign_in::{Checked, everywhere},
};
use crate::{
    audit::{
        Trail,
        domain::{Action, ActorKind, Event, SubjectKind},
        erasing,
    },
    db::DbError,
    guessing::counter,
    http::{error::ApiError, resource::Expected},
    model::{caller::Role, identity::Email, named::Named, wire::Fault},
    secrets::keys::KeyRing,
};

/// A violated unique index is a 409; all else is as usual.
fn stored_or_taken(error: DbError) -> ApiError {
    if operators::is_taken(&error) {
        ApiError::conflict(
            "already_exists",
            "Another operator has this address (upper and lower case are the same).",
            vec![Fault::new(
                "/email",
                "taken",
                "another operator has this address",
            )],
        )
    } else {
        error.into()
    }
}

fn no_operator() -> ApiError {
    ApiError::not_found(Operator::NAME)
}

/// Adds an operator who may sign in at once.
///
/// # Errors
/// 409 when another operator has the address.
pub fn add(
    connection: &mut PgConnection,
    trail: &Trail,
    email: Email,
    role: Role,
    hash: &SecretString,
) -> Result<Operator, ApiError> {
    let now = trail.clock.now();
    let operator = Operator {
        id: trail.clock.new_id(),
        email: email.into_string(),
        role,
        enabled: true,
        created_at: now,
        updated_at: now,
        last_sign_in_at: None,
    };
    operators::insert(connection, &operator, hash).map_err(stored_or_taken)?;
    let event = Event::new(Action::OperatorCreated, SubjectKind::Operator, operator.id);
    trail.record(connection, &event.after(&operator))?;
    Ok(operator)
}

/// The operator as it is now, and the active admins: they are held first, always in the same order, so that two changes
/// that meet take turns.
fn held(
    connection: &mut PgConnection,
    id: Uuid,
    expected: &Expected,
) -> Result<(Operator, Vec<Uuid>), ApiError> {
    let admins = operators::hold_admins(connection)?;
    let operator = operators::lock(connection, id)?.map(|(operator, _)| operator);
    Ok((expected.of(operator)?, admins))
}

/// # Errors
/// 409 when nobody could let anybody in any more.
fn check_last(operator: &Operator, admins: &[Uuid]) -> Result<(), ApiError> {
    if operator.is_active_admin() && admins == [operator.id] {
        return Err(ApiError::new(
            409,
            "last_admin",
            "This is the last admin who may sign in; make another one first.",
        ));
    }
    Ok(())
}

/// Changes an operator. Who is no longer enabled is signed out everywhere.
///
/// # Errors
/// 404, 412; 409 for the last admin, and when another operator has the address.
pub fn change(
    connection: &mut PgConnection,
    trail: &Trail,
    id: Uuid,
    expected: &Expected,
    patch: PatchOperator,
) -> Result<Operator, ApiError> {
    let (operator, admins) = held(connection, id, expected)?;
    let changed = patch.onto(&operator)?;
    if changed == operator {
        return Ok(operator);
    }
    if !changed.is_active_admin() {
        check_last(&operator, &admins)?;
    }
    let changed = Operator {
        updated_at: trail.clock.now(),
        ..changed
    };
    operators::update(connection, &changed).map_err(stored_or_taken)?;
    let event = Event::new(Action::OperatorChanged, SubjectKind::Operator, id);
    trail.record(connection, &event.before(&operator).after(&changed))?;
    if !changed.enabled {
        sessions::end_all(connection, id, None)?;
        known::forget(connection, id)?;
    }
    Ok(changed)
}

/// Deletes an operator, who is signed out everywhere.
///
/// # Errors
/// 404, 412; 409 for the last admin.
pub fn delete(
    connection: &mut PgConnection,
    trail: &Trail,
    id: Uuid,
    expected: &Expected,
) -> Result<(), ApiError> {
    let (operator, admins) = held(connection, id, expected)?;
    check_last(&operator, &admins)?;
    operators::delete(connection, id)?;
    let event = Event::new(Action::OperatorDeleted, SubjectKind::Operator, id);
    Ok(trail.record(connection, &event.before(&operator))?)
}

/// Deletes an operator, and who it was from the audit log: events keep the id. Also one who was deleted before.
///
/// # Errors
/// 404 for an id that no operator has, and no event knows; 409 for the last admin, and for oneself: who did what does not end
/// with a wish of whom it is about alone.
pub fn erase(connection: &mut PgConnection, trail: &Trail, id: Uuid) -> Result<(), ApiError> {
    if trail.actor.kind == ActorKind::Operator && trail.actor.id == Some(id) {
        return Err(ApiError::new(
            409,
            "own_account",
            "An operator is erased by another admin: ask one, or delete the account with DELETE /operators/{id}.",
        ));
    }
    match delete(connection, trail, id, &Expected::default()) {
        Err(missing) if missing.status == 404 => {
            if !erasing::knows_operator(connection, id)? {
                return Err(missing);
            }
        }
        deleted => deleted?,
    }
    erasing::erase_operator(connection, id)?;
    let event = Event::new(Action::OperatorErased, SubjectKind::Operator, id);
    Ok(trail.record(connection, &event)?)
}

/// Sets the password of an operator who has forgotten it: signed out everywhere, and no longer locked.
///
/// # Errors
/// 404.
pub fn set_password(
    connection: &mut PgConnection,
    trail: &Trail,
    keys: &KeyRing,
    id: Uuid,
    hash: &SecretString,
) -> Result<(), ApiError> {
    let (operator, _) = operators::lock(connection, id)?.ok_or_else(no_operator)?;
    store_password(connection, trail, keys, &operator, hash, None)
}

/// Changes an operator's own password, of which the current one was looked at; other sessions end.
///
/// # Errors
/// 409 when it is another one meanwhile.
pub fn change_own_password(
    connection: &mut PgConnection,
    trail: &Trail,
    keys: &KeyRing,
    (id, session): (Uuid, Option<Uuid>),
    checked: &Checked,
    hash: &SecretString,
) -> Result<(), ApiError> {
    let (operator, current) = operators::lock(connection, id)?.ok_or_else(wrong_password)?;
    if current.expose_secret() != checked.hash.expose_secret() {
        return Err(wrong_password());
    }
    checked.counts.were_right(connection)?;
    store_password(connection, trail, keys, &operator, hash, session)
}

/// Stores a password, ends all sessions but one, and forgets wrong tries and from where the operator is known.
fn store_password(
    connection: &mut PgConnection,
    trail: &Trail,
    keys: &KeyRing,
    operator: &Operator,
    hash: &SecretString,
    stays: Option<Uuid>,
) -> Result<(), ApiError> {
    operators::set_hash(connection, operator.id, hash)?;
    sessions::end_all(connection, operator.id, stays)?;
    known::forget(connection, operator.id)?;
    counter::forget(connection, &[everywhere(keys, &operator.email)])?;
    let event = Event::new(
        Action::OperatorPasswordSet,
        SubjectKind::Operator,
        operator.id,
    );
    Ok(trail.record(connection, &event)?)
}

/// No 401: the token is a good one, and a frontend would take it for the end of the session.
pub fn wrong_password() -> ApiError {
    ApiError::conflict(
        "wrong_password",
        "The current password is another.",
        vec![Fault::new(
            "/current_password",
            "wrong_password",
            "is not the current one",
        )],
    )
}

/// Signs an operator out everywhere.
///
/// # Errors
/// 404.
pub fn sign_out(connection: &mut PgConnection, trail: &Trail, id: Uuid) -> Result<(), ApiError> {
    operators::lock(connection, id)?.ok_or_else(no_operator)?;
    sessions::end_all(connection, id, None)?;
    let event = Event::new(Action::SignedOut, SubjectKind::Operator, id);
    Ok(trail.record(connection, &event)?)
}
