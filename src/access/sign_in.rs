//! Signing in and out. A try is counted before the password is looked at, and looked at without a transaction.

use diesel::PgConnection;
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::{
    domain::{Operator, SignedIn},
    operators, sessions,
};
use crate::{
    audit::{
        Trail,
        domain::{Action, Actor, ActorKind, Event, SubjectKind},
    },
    db::DbError,
    guessing::counter::{self, Secret, Try},
    http::error::ApiError,
    model::secret_input::Password,
    secrets::{keys::KeyRing, password::Hasher},
    state::State,
};

/// Where tries at an operator's address are counted.
pub fn subject(keys: &KeyRing, email: &str) -> Uuid {
    counter::subject(keys, Secret::OperatorPassword, email)
}

/// What a wrong address, a wrong password and an operator who may not sign in have in common.
pub fn refused() -> ApiError {
    ApiError::new(
        401,
        "invalid_credentials",
        "The address or the password is not right.",
    )
}

/// A password that was compared and is right.
pub struct Checked {
    pub operator: Uuid,
    /// The hash that it was right for.
    pub hash: SecretString,
    /// A better one, where that was made with weaker parameters than are used today.
    pub renewed: Option<SecretString>,
}

/// Counts a try, and then compares the password: for nobody with the same work. `None`: it is not right.
///
/// # Errors
/// 429 while the address is locked: five wrong tries lock it for 30 s, doubling to an hour, whether or not there is
/// such an operator.
pub async fn check(
    state: &State,
    email: &str,
    given: &SecretString,
) -> Result<Option<Checked>, ApiError> {
    let (now, subject) = (state.clock.now(), subject(&state.keys, email));
    let email = email.to_owned();
    let (counted, found) = state
        .db
        .transaction(move |connection| {
            let counted = counter::count_try(connection, subject, now)?;
            Ok::<_, DbError>((counted, operators::by_email(connection, &email)?))
        })
        .await?;
    if let Try::Paused(wait) = counted {
        return Err(ApiError {
            retry_after: Some(wait),
            ..ApiError::new(
                429,
                "too_many_attempts",
                "Too many wrong tries. Try again after `Retry-After` seconds.",
            )
        });
    }
    let stored = found.as_ref().map(|(_, hash)| hash.clone());
    let is_right = state.hasher.verify(given.clone(), stored).await?;
    let Some((operator, hash)) = found.filter(|_| is_right) else {
        return Ok(None);
    };
    let renewed = match Password::parse(given.expose_secret()) {
        Ok(password) if Hasher::is_outdated(&hash) => {
            Some(state.hasher.hash(password.into_secret()).await?)
        }
        _ => None,
    };
    Ok(Some(Checked {
        operator,
        hash,
        renewed,
    }))
}

/// Begins a session. Runs inside a transaction.
///
/// # Errors
/// 401 when the password was changed meanwhile, or the operator may not sign in.
pub fn sign_in(
    connection: &mut PgConnection,
    trail: Trail,
    keys: &KeyRing,
    checked: &Checked,
) -> Result<SignedIn, ApiError> {
    let now = trail.clock.now();
    let (operator, hash) = operators::lock(connection, checked.operator)?.ok_or_else(refused)?;
    if !operator.enabled || hash.expose_secret() != checked.hash.expose_secret() {
        return Err(refused());
    }
    if let Some(renewed) = &checked.renewed {
        operators::set_hash(connection, operator.id, renewed)?;
    }
    counter::forget(connection, subject(keys, &operator.email))?;
    operators::note_sign_in(connection, operator.id, now)?;
    let (token, expires_at) = sessions::create(connection, trail.clock.new_id(), operator.id, now)?;
    let trail = Trail {
        actor: Actor {
            kind: ActorKind::Operator,
            id: Some(operator.id),
            name: Some(operator.email.clone()),
        },
        ..trail
    };
    let event = Event::new(Action::SignedIn, SubjectKind::Operator, operator.id);
    trail.record(connection, &event)?;
    Ok(SignedIn {
        token: token.expose_secret().to_owned(),
        expires_at,
        operator: Operator {
            last_sign_in_at: Some(now),
            ..operator
        },
    })
}

/// Ends a session, or (`None`) all sessions of an operator. Runs inside a transaction.
///
/// # Errors
/// When the database is not available.
pub fn sign_out(
    connection: &mut PgConnection,
    trail: &Trail,
    operator: Uuid,
    session: Option<Uuid>,
) -> Result<(), DbError> {
    match session {
        Some(session) => sessions::end(connection, session)?,
        None => {
            sessions::end_all(connection, operator, None)?;
        }
    }
    let event = Event::new(Action::SignedOut, SubjectKind::Operator, operator);
    trail.record(connection, &event)
}
