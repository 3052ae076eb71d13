//! Enrolling: counts the try, looks at the secrets, decides, writes it all down.
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
    domain::{Attempt, EnrolledUser, Enrollment, Proof},
    queries::{self, Entry},
    tries::{self, Found, Guarded, Person},
    verdict::{REPEATED_WITHIN, Right, Verdict, verdict as verdict_of},
};
use crate::{
    clock::Clock,
    db::{Db, DbError},
    devices::{self, domain::Device},
    guessing::counter::{self, Secret, Try},
    http::error::ApiError,
    model::{invitation::Method, ownership, secret_input::Given},
    outbox::registrations::Registrations,
    secrets::{
        keys::KeyRing,
        password::Hasher,
        pin::Pin,
        token::{self, Claims},
    },
    settings::{self, Applied},
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
    pub registrations: &'a Registrations,
}

/// The same, inside a transaction.
struct Inside<'a> {
    clock: &'a Clock,
    keys: &'a KeyRing,
    registrations: &'a Registrations,
}

/// A device that is enrolled.
#[derive(Debug)]
pub enum Enrolled {
    /// Just now.
    New(Enrollment),
    /// Before, with the same request.
    Before(Enrollment),
}

/// Why a device is not enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Some of it is wrong; which, is not told.
    Wrong,
    /// Not looked at: for so many seconds more.
    TooManyTries(u32),
    Disabled,
    PinExpired,
    InvitationExpired,
    AlreadyUsed,
    DeviceLimitReached,
    /// Somebody else holds the device.
    EnrolledElsewhere,
    /// The serial number and the id are of two devices.
    TwoDevices,
    /// The device was enrolled with this very secret, and retired since.
    Retired,
}

/// What became of an attempt.
pub type Outcome = Result<Enrolled, Refused>;

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
    let (now, subject) = (
        desk.clock.now(),
        counter::subject(desk.keys, Secret::UserPassword, name),
    );
    let name = name.to_owned();
    let counted: Try<Option<SecretString>> = desk
        .db
        .transaction(move |connection| tries::count_password_try(connection, &name, subject, now))
        .await
        .map_err(|error: DbError| ApiError::from(error))?;
    match counted {
        Try::Paused(wait) => Ok(Try::Paused(wait)),
        Try::Counted(stored) => {
            let right = desk
                .hasher
                .verify(given.expose().clone(), stored.clone())
                .await?;
            Ok(Try::Counted((right, stored)))
        }
    }
}

/// Whether a PIN is an invitation's. In constant time as far as the digits go.
fn is_pin(keys: &KeyRing, guarded: &Guarded, given: &Given) -> bool {
    let Some(key) = keys.get(&guarded.key_id) else {
        tracing::error!(invitation_id = %guarded.invited.id, key_id = guarded.key_id, "an invitation's secret key is not configured");
        return false;
    };
    let pin = Pin::derive(key, guarded.invited.id, guarded.counter, guarded.pin_length);
    let given = given.expose().expose_secret().as_bytes();
    bool::from(pin.expose().as_bytes().ct_eq(given))
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
    let found = find(connection, keys, attempt, seen, now)?;
    if let Try::Paused(wait) = found.counted {
        return Ok(Err(Refused::TooManyTries(wait)));
    }
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
    let Found { person, newest, .. } = found;
    let right = right_for(person.as_ref(), newest.as_ref());
    let applied = match &person {
        Some(person) if right.password == Some(true) && pin.is_none() => {
            Some(settings::queries::applied(connection, person.user.id)?)
        }
        _ => None,
    };
    let enabled = person.as_ref().is_some_and(|person| person.enabled);
    let alone = applied
        .as_ref()
        .is_some_and(|applied| applied.registration.method == Method::Password);
    let invited = newest.as_ref().map(|guarded| &guarded.invited);
    let mut verdict = verdict_of(invited, right, enabled, alone, now);
    let mut used = None;
    if verdict == Verdict::Wrong && pin.is_some() {
        let user = person.as_ref().map(|person| person.user.id);
        let newest = invited.map(|invited| invited.id);
        let before = tries::used_before(connection, user, newest, &attempt.device, now)?;
        let right = right_for(person.as_ref(), before.as_ref());
        let invited = before.as_ref().map(|guarded| &guarded.invited);
        verdict = verdict_of(invited, right, enabled, false, now);
        used = before;
    }
    let Some(person) = person.filter(|_| verdict != Verdict::Wrong) else {
        return Ok(Err(Refused::Wrong));
    };
    if right.password == Some(true) {
        counter::forget(connection, person.user.id)?;
    }
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
                None => settings::queries::applied(connection, person.user.id)?,
            };
            write_down(
                connection, desk, attempt, &person, invitation, &applied, now,
            )?
        }
    };
    // A right secret is no wrong try; an enrollment has said so already.
    if let (Some(guarded), Some(_), false) = (&newest, pin, matches!(outcome, Ok(Enrolled::New(_))))
    {
        tries::take_back_pin_try(connection, guarded)?;
    }
    Ok(outcome)
}

/// Finds whom and what the attempt is about, and counts it if it has a PIN.
fn find(
    connection: &mut PgConnection,
    keys: &KeyRing,
    attempt: &Attempt,
    seen: &Seen,
    now: DateTime<Utc>,
) -> Result<Found, DbError> {
    match (&attempt.proof, seen) {
        (Proof::Typed { username, pin, .. }, _) => {
            let name = username.as_str();
            if pin.is_some() {
                tries::count_pin_try(
                    connection,
                    name,
                    counter::subject(keys, Secret::Pin, name),
                    now,
                )
            } else {
                tries::by_name(connection, name, now)
            }
        }
        (Proof::Token(_), Seen::Token(claims)) => {
            tries::by_token(connection, claims.invitation, claims.counter, now)
        }
        (Proof::Token(_), Seen::Typed { .. }) => Ok(Found {
            person: None,
            newest: None,
            counted: Try::Counted(()),
        }),
    }
}

/// What a secret gets that has enrolled a device before: the same enrollment, if it is the same device and not
/// long ago.
fn repeated(
    connection: &mut PgConnection,
    attempt: &Attempt,
    guarded: &Guarded,
    user: &EnrolledUser,
    now: DateTime<Utc>,
) -> Result<Outcome, DbError> {
    let before = queries::with_invitation(connection, guarded.invited.id, user)?;
    Ok(match before {
        Some(before) if is_repeat(attempt, &before, now) => {
            if before.device.retired_at.is_some() {
                Err(Refused::Retired)
            } else {
                Ok(Enrolled::Before(before))
            }
        }
        _ => Err(Refused::AlreadyUsed),
    })
}

fn is_repeat(attempt: &Attempt, before: &Enrollment, now: DateTime<Utc>) -> bool {
    attempt.device.is(&before.device) && now - before.enrolled_at <= REPEATED_WITHIN
}

/// Enrolls the device, unless it is somebody else's or one too many.
///
/// Most devices are nobody's yet, so it is written as a new one first, and only if that fails is it looked at who
/// holds it.
fn write_down(
    connection: &mut PgConnection,
    desk: &Inside<'_>,
    attempt: &Attempt,
    person: &Person,
    invitation: Option<&Guarded>,
    applied: &Applied,
    now: DateTime<Utc>,
) -> Result<Outcome, DbError> {
    // What an invitation was sent with stays with it.
    let (method, requested, limit) = match invitation {
        None => {
            let registration = &applied.registration;
            let (owner, limit) = (registration.device_ownership, registration.device_limit);
            (Method::Password, owner, limit)
        }
        Some(guarded) => {
            let version = guarded.registration_id;
            let registration = desk.registrations.get(connection, version)?;
            let invited = &guarded.invited;
            (
                invited.method,
                invited.device_ownership,
                registration.device_limit,
            )
        }
    };
    let report = &attempt.device;
    let confirmed = applied.confirmation && person.user.email.is_some();
    let mut entry = Entry {
        id: desk.clock.new_id(),
        user: &person.user,
        invitation,
        method,
        device_id: desk.clock.new_id(),
        device: report,
        ownership: ownership::decided(report.facts(), method, requested, attempt.owner_choice),
        confirmation: confirmed.then(|| desk.clock.new_id()),
        now,
    };
    let (serial, id) = (report.serial_number.as_ref(), report.device_id.as_ref());
    let mut is_new = queries::enroll_new(connection, &entry, limit)?;
    let mut held = Vec::new();
    if !is_new {
        held = devices::queries::held(connection, serial, id)?;
        // Retired meanwhile, or the user's limit is reached.
        is_new = held.is_empty() && queries::enroll_new(connection, &entry, limit)?;
    }
    let device = if is_new {
        entry.new_device()
    } else {
        let is_foreign = |device: &Device| device.user_id != Some(person.user.id);
        if held.iter().any(is_foreign) {
            return Ok(Err(Refused::EnrolledElsewhere));
        }
        entry.device_id = match held.as_slice() {
            [] => return Ok(Err(Refused::DeviceLimitReached)),
            [device] => device.id,
            _ => return Ok(Err(Refused::TwoDevices)),
        };
        if invitation.is_none() {
            let before = queries::last_by_password(connection, entry.device_id, &person.user)?;
            if let Some(before) = before.filter(|before| is_repeat(attempt, before, now)) {
                return Ok(Ok(Enrolled::Before(before)));
            }
        }
        queries::enroll_again(connection, &entry)?;
        devices::queries::get(connection, entry.device_id)?
            .ok_or_else(|| DbError::Stored("devices".into()))?
    };
    Ok(Ok(Enrolled::New(Enrollment {
        id: entry.id,
        user: person.user.clone(),
        invitation_id: invitation.map(|guarded| guarded.invited.id),
        method,
        device,
        device_ownership: entry.ownership,
        confirmation_email: confirmed,
        enrolled_at: now,
    })))
}
