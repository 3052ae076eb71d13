//! Writing an enrollment down, once the secrets are right: now, or the same as before.

use chrono::{DateTime, Utc};
use diesel::prelude::*;

use super::{
    domain::{Attempt, EnrolledUser, Enrollment},
    found::{Guarded, Person},
    outcome::{Enrolled, Outcome, Refused},
    queries::{self, Entry},
    verdict::REPEATED_WITHIN,
};
use crate::{
    clock::Clock,
    db::DbError,
    devices::{self, domain::Device},
    model::{
        invitation::Method,
        ownership::{self, DeviceFacts},
    },
    outbox::registrations::Registrations,
    settings::Applied,
};

/// Who may enroll a device.
pub(super) struct Admitted<'a> {
    pub(super) person: &'a Person,
    /// `None`: with a password alone.
    pub(super) invitation: Option<&'a Guarded>,
    /// What applies to the person now.
    pub(super) applied: &'a Applied,
}

/// What a secret gets that has enrolled a device before: the same enrollment, if it is the same device and not
/// long ago.
pub(super) fn repeated(
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
pub(super) fn write_down(
    connection: &mut PgConnection,
    clock: &Clock,
    registrations: &Registrations,
    attempt: &Attempt,
    admitted: &Admitted<'_>,
    now: DateTime<Utc>,
) -> Result<Outcome, DbError> {
    let Admitted {
        person,
        invitation,
        applied,
    } = *admitted;
    // What an invitation was sent with stays with it.
    let (method, requested, limit) = match invitation {
        None => {
            let registration = &applied.registration;
            let (owner, limit) = (registration.device_ownership, registration.device_limit);
            (Method::Password, owner, limit)
        }
        Some(guarded) => {
            let version = guarded.registration_id;
            let registration = registrations.get(connection, version)?;
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
    let owner = |facts| ownership::decided(facts, method, requested, attempt.owner_choice);
    let facts = report.facts(DeviceFacts::default());
    let mut entry = Entry {
        id: clock.new_id(),
        user: &person.user,
        invitation,
        method,
        device_id: clock.new_id(),
        device: report,
        facts,
        ownership: owner(facts),
        confirmation: confirmed.then(|| clock.new_id()),
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
        let device = match held.as_slice() {
            [] => return Ok(Err(Refused::DeviceLimitReached)),
            [device] => device,
            _ => return Ok(Err(Refused::TwoDevices)),
        };
        entry.device_id = device.id;
        entry.facts = report.facts(DeviceFacts {
            supervised: device.supervised,
            user_enrollment: device.user_enrollment,
        });
        entry.ownership = owner(entry.facts);
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
