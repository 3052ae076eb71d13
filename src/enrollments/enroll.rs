//! Enrolling: counts the try, looks at the secrets, decides, has it written down.
//!
//! A try with a PIN or a token is one transaction: it locks the invitation, so that of any number of
//! devices with the same secret one enrolls, and it is committed when the secret was wrong, too, so that
//! the try stays counted. A password takes 20 ms of a core to look at: it is counted in a transaction of
//! its own, and looked at without any.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::prelude::*;
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use super::{
    domain::{Attempt, Proof},
    found::{Found, Guarded, Person},
    outcome::{Enrolled, Outcome, Refused},
    queries, tries,
    verdict::{Right, Verdict, verdict as verdict_of},
    write_down::{Admitted, repeated, write_down},
};
use crate::{
    clock::Clock,
    db::{Db, DbError},
    guessing::counter::{self, Secret, Subject, Try},
    http::error::ApiError,
    model::{invitation::Method, secret_input::Given},
    outbox::registrations::Registrations,
    secrets::{
        keys::KeyRing,
        line::Line,
        password::Hasher,
        pin::Pin,
        token::{self, Claims},
    },
    settings,
};

/// How often a transaction is done anew because somebody else enrolled the same device meanwhile: then that
/// device is there, and the second time decides.
const TIMES: usize = 3;

/// What enrolling needs.
pub struct Desk<'a> {
    pub db: &'a Db,
    pub clock: &'a Clock,
    pub keys: &'a Arc<KeyRing>,
    pub hasher: &'a Hasher,
    pub pins: &'a Line,
    /// Whether whoever asks is known: has a key.
    pub is_known: bool,
    pub registrations: &'a Registrations,
}

/// The same, inside a transaction.
struct Inside<'a> {
    clock: &'a Clock,
    keys: &'a KeyRing,
    is_known: bool,
    registrations: &'a Registrations,
}

/// What was looked at before the transaction.
#[derive(Clone)]
enum Seen {
    /// A PIN, a right password with the hash that it was compared with, or both.
    Typed {
        password: Option<(bool, Option<SecretString>)>,
    },
    Token(Arc<Claims>),
}

/// Enrolls a device, if what is shown is right.
///
/// # Errors
/// When the database is away, or no password can be looked at now.
pub async fn enroll(desk: &Desk<'_>, attempt: Attempt) -> Result<Outcome, ApiError> {
    let attempt = Arc::new(attempt);
    let seen = match &attempt.proof {
        Proof::Token(given) => match token::verify(desk.keys, given.expose().expose_secret()) {
            Ok(claims) => Seen::Token(Arc::new(claims)),
            Err(_) => return Ok(Err(Refused::Wrong)),
        },
        Proof::Typed {
            username,
            pin,
            password,
        } => match password {
            None => Seen::Typed { password: None },
            Some(given) => match look_at_password(desk, username.as_str(), given).await? {
                Try::Paused(wait) => return Ok(Err(Refused::TooManyTries(wait))),
                // Alone it has nothing more to say; with a PIN, that is a try too.
                Try::Counted((false, _)) if pin.is_none() => return Ok(Err(Refused::Wrong)),
                Try::Counted(password) => Seen::Typed {
                    password: Some(password),
                },
            },
        },
    };
    let has_pin = matches!(&attempt.proof, Proof::Typed { pin: Some(_), .. });
    let is_known = desk.is_known;
    let _turn = desk.pins.turn(is_known || !has_pin).await?;
    let mut times = 0;
    loop {
        times += 1;
        let (clock, keys) = (desk.clock.clone(), Arc::clone(desk.keys));
        let registrations = desk.registrations.clone();
        let (attempt, seen) = (Arc::clone(&attempt), seen.clone());
        let done: Result<Outcome, DbError> = desk
            .db
            .transaction(move |connection| {
                let desk = Inside {
                    clock: &clock,
                    keys: &keys,
                    is_known,
                    registrations: &registrations,
                };
                decide(connection, &desk, &attempt, &seen)
            })
            .await;
        match done {
            Err(error) if times < TIMES && queries::was_quicker(&error) => {}
            done => return Ok(done?),
        }
    }
}

/// Counts a try with a password and looks at it.
async fn look_at_password(
    desk: &Desk<'_>,
    name: &str,
    given: &Given,
) -> Result<Try<(bool, Option<SecretString>)>, ApiError> {
    let turn = desk.hasher.turn(desk.is_known).await?;
    let subjects = [Subject::of_name(desk.keys, Secret::UserPassword, name)];
    let (now, name) = (desk.clock.now(), name.to_owned());
    let counted: Result<Try<Option<SecretString>>, DbError> = desk
        .db
        .transaction(move |connection| {
            Ok(match counter::count(connection, &subjects, now)? {
                Try::Paused(wait) => Try::Paused(wait),
                Try::Counted(_) => Try::Counted(tries::password_hash(connection, &name)?),
            })
        })
        .await;
    match counted? {
        Try::Paused(wait) => Ok(Try::Paused(wait)),
        Try::Counted(stored) => {
            let given = given.expose().clone();
            let right = desk.hasher.verify(turn, given, stored.clone()).await?;
            Ok(Try::Counted((right, stored)))
        }
    }
}

/// Whether a PIN is an invitation's. In constant time as far as the digits go; and no longer once it was guessed at too
/// often: that answers as a wrong PIN does.
fn is_pin(keys: &KeyRing, guarded: &Guarded, given: &Given) -> bool {
    let Some(key) = keys.get(&guarded.key_id) else {
        tracing::error!(invitation_id = %guarded.invited.id, key_id = guarded.key_id, "an invitation's secret key is not configured");
        return false;
    };
    let pin = Pin::derive(key, guarded.invited.id, guarded.counter, guarded.pin_length);
    let given = given.expose().expose_secret().as_bytes();
    bool::from(pin.expose().as_bytes().ct_eq(given)) && !guarded.is_used_up()
}

/// Counts, looks and decides. Runs inside a transaction, which is to be committed whatever the outcome.
fn decide(
    connection: &mut PgConnection,
    desk: &Inside<'_>,
    attempt: &Attempt,
    seen: &Seen,
) -> Result<Outcome, DbError> {
    let (now, keys) = (desk.clock.now(), desk.keys);
    let pin = match &attempt.proof {
        Proof::Typed { pin, .. } => pin.as_ref(),
        Proof::Token(_) => None,
    };
    if pin.is_some() && !desk.is_known {
        tries::take_turn(connection)?;
    }
    let found = match find(connection, keys, attempt, seen, now)? {
        Try::Paused(wait) => return Ok(Err(Refused::TooManyTries(wait))),
        Try::Counted(found) => found,
    };
    let right_for = |person: Option<&Person>, guarded: Option<&Guarded>| Right {
        pin: pin.map(|given| guarded.is_some_and(|guarded| is_pin(keys, guarded, given))),
        password: match seen {
            Seen::Typed {
                password: Some((right, compared)),
            } => {
                // The password may have been changed while it was looked at.
                let stored = person.and_then(|person| person.password_hash.as_ref());
                let is_same = stored.map(ExposeSecret::expose_secret)
                    == compared.as_ref().map(ExposeSecret::expose_secret);
                Some(*right && is_same)
            }
            _ => None,
        },
        token: matches!(seen, Seen::Token(_)).then_some(guarded.is_some()),
    };
    let Found { person, newest } = found;
    let mut right = right_for(person.as_ref(), newest.as_ref());
    let applied = match &person {
        Some(person) if right.password == Some(true) && pin.is_none() => Some(
            settings::queries::applied(connection, keys, person.user.id)?,
        ),
        _ => None,
    };
    let enabled = person.as_ref().is_some_and(|person| person.enabled);
    let alone = applied
        .as_ref()
        .is_some_and(|applied| applied.registration.method == Method::Password);
    let invited = newest.as_ref().map(|guarded| &guarded.invited);
    // Tries count for the newest invitation: with its own, no older PIN can be guessed any more either.
    let is_over = newest.as_ref().is_some_and(Guarded::is_used_up);
    let mut verdict = verdict_of(invited, right, enabled, alone, now);
    let mut used = None;
    if verdict == Verdict::Wrong && pin.is_some() {
        let user = person.as_ref().map(|person| person.user.id);
        let newest = invited.map(|invited| invited.id);
        let before = tries::used_before(connection, user, newest, &attempt.device, now)?;
        let before = before.filter(|_| !is_over);
        let of_before = right_for(person.as_ref(), before.as_ref());
        // By its PIN alone: with a password it would answer whatever PIN of the newest is guessed at.
        if of_before.pin == Some(true) {
            right = of_before;
            let invited = before.as_ref().map(|guarded| &guarded.invited);
            verdict = verdict_of(invited, right, enabled, false, now);
            used = before;
        }
    }
    let Some(person) = person.filter(|_| verdict != Verdict::Wrong) else {
        return Ok(Err(Refused::Wrong));
    };
    let outcome = match verdict {
        Verdict::Wrong => Err(Refused::Wrong),
        Verdict::Disabled => Err(Refused::Disabled),
        Verdict::PinExpired => Err(Refused::PinExpired),
        Verdict::InvitationExpired => Err(Refused::InvitationExpired),
        Verdict::Used => match used.as_ref().or(newest.as_ref()) {
            Some(guarded) => repeated(connection, attempt, guarded, &person.user, now)?,
            None => Err(Refused::AlreadyUsed),
        },
        Verdict::Enroll | Verdict::EnrollAlone => {
            let invitation = newest.as_ref().filter(|_| verdict == Verdict::Enroll);
            let applied = match applied {
                Some(applied) => applied,
                None => settings::queries::applied(connection, keys, person.user.id)?,
            };
            let admitted = Admitted {
                person: &person,
                invitation,
                applied: &applied,
            };
            write_down(
                connection,
                desk.clock,
                desk.registrations,
                attempt,
                &admitted,
                now,
            )?
        }
    };
    // A right secret is no wrong try; of the invitation's an enrollment has said so already.
    counter::take_back(connection, &tried(keys, attempt, right))?;
    let is_written = matches!(outcome, Ok(Enrolled::New(_)));
    if let Some(guarded) = newest.filter(|_| right.pin == Some(true) && !is_written) {
        tries::take_back_pin_try(connection, &guarded)?;
    }
    Ok(outcome)
}

/// Where the secrets that were right are counted.
fn tried(keys: &KeyRing, attempt: &Attempt, right: Right) -> Vec<Subject> {
    let Proof::Typed { username, .. } = &attempt.proof else {
        return Vec::new();
    };
    [
        right.pin.and_then(|right| right.then_some(Secret::Pin)),
        right
            .password
            .and_then(|right| right.then_some(Secret::UserPassword)),
    ]
    .into_iter()
    .flatten()
    .map(|secret| Subject::of_name(keys, secret, username.as_str()))
    .collect()
}

/// Finds whom and what the attempt is about, and counts it if it has a PIN.
fn find(
    connection: &mut PgConnection,
    keys: &KeyRing,
    attempt: &Attempt,
    seen: &Seen,
    now: DateTime<Utc>,
) -> Result<Try<Found>, DbError> {
    let found = match (&attempt.proof, seen) {
        (Proof::Typed { username, pin, .. }, _) => {
            let name = username.as_str();
            if pin.is_some() {
                let subjects = [Subject::of_name(keys, Secret::Pin, name)];
                match counter::count(connection, &subjects, now)? {
                    Try::Paused(wait) => return Ok(Try::Paused(wait)),
                    Try::Counted(begins) => tries::by_name_with_pin(connection, name, begins)?,
                }
            } else {
                tries::by_name(connection, name)?
            }
        }
        (Proof::Token(_), Seen::Token(claims)) => {
            tries::by_token(connection, claims.invitation, claims.counter)?
        }
        (Proof::Token(_), Seen::Typed { .. }) => Found::default(),
    };
    Ok(Try::Counted(found))
}
