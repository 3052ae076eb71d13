//! Signing in and out. A try is counted before the password is looked at, and looked at without a transaction.

use chrono::{DateTime, Utc};
use diesel::{Connection, PgConnection, result::Error::RollbackTransaction};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use uuid::Uuid;

use super::{
    Access,
    domain::{Operator, SignedIn},
    known::{self, Network},
    operators, sessions,
};
use crate::{
    audit::{
        Trail,
        domain::{Action, Actor, ActorKind, Event, SubjectKind},
    },
    db::DbError,
    guessing::counter::{self, Begins, Secret, Subject, Try},
    http::error::ApiError,
    model::{caller::Caller, secret_input::Password},
    secrets::{keys::KeyRing, line::Turn, password::Hasher},
    state::State,
};

/// Where strangers' tries at an operator's address are counted, all together.
pub fn everywhere(keys: &KeyRing, email: &str) -> Subject {
    Subject::of_name(keys, Secret::OperatorPassword, email)
}

/// What a wrong address, a wrong password and an operator who may not sign in have in common.
pub fn refused() -> ApiError {
    ApiError::new(
        401,
        "invalid_credentials",
        "The address or the password is not right.",
    )
}

/// Where a try is counted.
pub struct Counts {
    subjects: Vec<Subject>,
    /// They are of an operator who is known: what is right starts them anew.
    is_own: bool,
}

impl Counts {
    /// Of a sign-in. Strangers' tries count for their network, and for the address wherever they come from; those from a
    /// network that any operator is known from for this network alone, so that no stranger elsewhere pauses them.
    fn of_sign_in(
        keys: &KeyRing,
        email: &str,
        network: &Network,
        is_of_ours: bool,
        is_known: bool,
    ) -> Self {
        let part = |secret| Subject::of_part(keys, secret, &network.0, email);
        let subjects = if is_of_ours || is_known {
            vec![part(Secret::FromKnown)]
        } else {
            vec![part(Secret::FromNetwork), everywhere(keys, email)]
        };
        Self {
            subjects,
            is_own: is_known,
        }
    }

    /// Of an operator in a session, which pauses nobody's sign-in.
    fn of_session(keys: &KeyRing, operator: Uuid) -> Self {
        let name = operator.to_string();
        Self {
            subjects: vec![Subject::of_name(keys, Secret::OwnPassword, &name)],
            is_own: true,
        }
    }

    /// The try was right.
    ///
    /// # Errors
    /// When the database is away.
    pub fn were_right(&self, connection: &mut PgConnection) -> Result<(), DbError> {
        if self.is_own {
            counter::forget(connection, &self.subjects)
        } else {
            counter::take_back(connection, &self.subjects)
        }
    }
}

/// A try that is counted, and may be looked at.
struct Asked {
    counts: Counts,
    begins: Begins,
    turn: Turn,
    operator: Option<Found>,
}

/// The operator whose password is tried.
struct Found {
    id: Uuid,
    email: String,
    hash: SecretString,
    /// Whether the right password lets the operator in.
    enabled: bool,
}

/// A password that was compared and is right.
pub struct Checked {
    pub operator: Uuid,
    /// The hash that it was right for.
    pub hash: SecretString,
    /// A better one, where that was made with weaker parameters than are used today.
    pub renewed: Option<SecretString>,
    pub counts: Counts,
}

/// Counts a try, and then compares the password: for nobody with the same work. `None`: it is not right.
///
/// # Errors
/// 429 in a pause, whether or not there is such an operator, and when too many strangers wait.
pub async fn check(
    state: &State,
    access: &Access,
    trail: &Trail,
    email: &str,
    given: &SecretString,
) -> Result<Option<Checked>, ApiError> {
    let network = Network::of(trail.address);
    // Of all names alike: or who waits in line and who does not would tell whose the address is.
    let is_of_ours = access.knows(&state.keys, &network, state.clock.now()).await;
    let turn = state.hasher.turn(is_of_ours).await?;
    let (now, keys, email) = (state.clock.now(), state.keys.clone(), email.to_owned());
    let asked = state
        .db
        .transaction(move |connection| {
            let operator = operators::by_email(connection, &email)?;
            let id = operator.as_ref().map_or(Uuid::nil(), |(id, ..)| *id);
            let is_known = known::is_known(connection, &keys, id, &network, now)?;
            let counts = Counts::of_sign_in(&keys, &email, &network, is_of_ours, is_known);
            let begins = counted(connection, &counts, now)?;
            Ok::<_, ApiError>(Asked {
                counts,
                begins,
                turn,
                operator: operator.map(|(id, hash, enabled)| Found {
                    id,
                    email,
                    hash,
                    enabled,
                }),
            })
        })
        .await?;
    compare(state, trail, asked, given).await
}

/// The same for an operator in a session, who is known by it.
///
/// # Errors
/// 429 in a pause after wrong tries in sessions of this operator.
pub async fn check_own(
    state: &State,
    trail: &Trail,
    caller: &Caller,
    given: &SecretString,
) -> Result<Option<Checked>, ApiError> {
    let (now, id) = (state.clock.now(), caller.id());
    let turn = state.hasher.turn(true).await?;
    let counts = Counts::of_session(&state.keys, id);
    let asked = state
        .db
        .transaction(move |connection| {
            // Held first, as where the password is changed.
            let found = operators::lock(connection, id)?;
            let begins = counted(connection, &counts, now)?;
            Ok::<_, ApiError>(Asked {
                counts,
                begins,
                turn,
                operator: found.map(|(operator, hash)| Found {
                    id,
                    email: operator.email,
                    hash,
                    enabled: operator.enabled,
                }),
            })
        })
        .await?;
    compare(state, trail, asked, given).await
}

fn counted(
    connection: &mut PgConnection,
    counts: &Counts,
    now: DateTime<Utc>,
) -> Result<Begins, ApiError> {
    match counter::count(connection, &counts.subjects, now)? {
        Try::Counted(begins) => Ok(begins),
        Try::Paused(wait) => Err(ApiError {
            retry_after: Some(wait),
            ..ApiError::new(
                429,
                "too_many_attempts",
                "Too many wrong tries. Try again after `Retry-After` seconds.",
            )
        }),
    }
}

async fn compare(
    state: &State,
    trail: &Trail,
    asked: Asked,
    given: &SecretString,
) -> Result<Option<Checked>, ApiError> {
    let operator = asked.operator;
    let stored = operator.as_ref().map(|found| found.hash.clone());
    let is_right = state
        .hasher
        .verify(asked.turn, given.clone(), stored)
        .await?;
    let Found { id, hash, .. } = match operator {
        Some(found) if is_right && found.enabled => found,
        other => {
            if let Some(until) = asked.begins {
                state.metrics.sign_in_paused();
                note_pause(state, trail.clone(), other, until).await?;
            }
            return Ok(None);
        }
    };
    let renewed = match Password::parse(given.expose_secret()) {
        Ok(password) if Hasher::is_outdated(&hash) => {
            Some(state.hasher.hash(password.into_secret()).await?)
        }
        _ => None,
    };
    Ok(Some(Checked {
        operator: id,
        hash,
        renewed,
        counts: asked.counts,
    }))
}

/// A pause that wrong tries have begun.
#[derive(Serialize)]
struct Pause {
    email: Option<String>,
    until: DateTime<Utc>,
}

/// Writes down that a pause begins: once, however often somebody asks while it lasts. Only of an operator: strangers must
/// not fill the log, and what people type there by mistake may be a secret. Of nobody it is written all the same, and taken
/// back, so that it takes the same time.
async fn note_pause(
    state: &State,
    trail: Trail,
    operator: Option<Found>,
    until: DateTime<Utc>,
) -> Result<(), ApiError> {
    let id = operator.as_ref().map(|found| found.id);
    let email = operator.map(|found| found.email);
    let event = Event::new(Action::SignInPaused, SubjectKind::Operator, id);
    let event = event.after(&Pause { email, until });
    state
        .db
        .transaction(move |connection| {
            let written = connection.transaction(|connection| {
                trail.record(connection, &event)?;
                match id {
                    Some(_) => Ok(()),
                    None => Err(DbError::from(RollbackTransaction)),
                }
            });
            match written {
                Err(DbError::Query(RollbackTransaction)) => Ok(()),
                written => Ok::<_, ApiError>(written?),
            }
        })
        .await
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
    checked.counts.were_right(connection)?;
    let network = Network::of(trail.address);
    known::note(connection, keys, operator.id, &network, now)?;
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
