//! The mail of a claimed message, as it is handed over.

use chrono::{DateTime, Utc};
use lettre::{Address, address::Envelope};

use super::message::{About, Claimed, Enrolled, Invited};
use crate::{
    mail::{
        catalogue::Lang,
        letter::{Addressee, Letter, Secrets, Thread, Writer},
        message::Rendered,
    },
    model::{invitation::valid_until, qr_payload::QrPayload},
    secrets::{keys::KeyRing, return_path},
};

/// A mail as it is handed over.
pub(super) struct Parcel {
    pub(super) envelope: Envelope,
    /// Proves that a report about it is one.
    pub(super) token: String,
    pub(super) bytes: Vec<u8>,
}

/// What it takes to make one.
pub(super) struct Packer<'a> {
    pub(super) keys: &'a KeyRing,
    pub(super) writer: &'a Writer,
    /// Where mails come back to, each to an address of its own; `None`: to whom they are from.
    pub(super) bounces: Option<&'a Address>,
}

impl Packer<'_> {
    /// Makes the mail.
    ///
    /// # Errors
    /// Why it cannot be made, without a secret.
    pub(super) fn pack(
        &self,
        claimed: &Claimed,
        to: &Addressee,
        now: DateTime<Utc>,
    ) -> Result<Parcel, String> {
        let (rendered, thread) = match &claimed.about {
            About::Invitation(invited) => {
                let thread = Thread {
                    invitation: Some(invited.invitation_id),
                    follows: invited.reminds_of,
                };
                (self.invitation(invited, to, now)?, thread)
            }
            About::Enrollment(enrolled) => (self.confirmation(enrolled, to)?, Thread::default()),
        };
        let mail = self
            .writer
            .seal(to, claimed.id, thread, now, &rendered)
            .map_err(|error| error.to_string())?;
        let token = return_path::mint(self.keys.signing(), claimed.id, &to.email);
        Ok(Parcel {
            envelope: self.envelope(mail.envelope(), &token)?,
            token,
            bytes: mail.formatted(),
        })
    }

    /// Where a mail comes back to tells which one it is.
    fn envelope(&self, plain: &Envelope, token: &str) -> Result<Envelope, String> {
        let Some(bounces) = self.bounces else {
            return Ok(plain.clone());
        };
        let user = format!("{}+{token}", bounces.user());
        let from = Address::new(user, bounces.domain()).map_err(|error| error.to_string())?;
        Envelope::new(Some(from), plain.to().to_vec()).map_err(|error| error.to_string())
    }

    fn invitation(
        &self,
        invited: &Invited,
        to: &Addressee,
        now: DateTime<Utc>,
    ) -> Result<Rendered, String> {
        let key = self
            .keys
            .require(&invited.key_id)
            .map_err(|error| error.to_string())?;
        let secrets = Secrets::derive(
            key,
            invited.invitation_id,
            u32::try_from(invited.counter).map_err(|_| "bad counter")?,
            u8::try_from(invited.pin_length).map_err(|_| "bad PIN length")?,
        );
        let lifetime = u8::try_from(invited.pin_lifetime_days).map_err(|_| "bad PIN lifetime")?;
        let method = invited.method;
        let until = valid_until(
            method,
            invited.pin_issued_at.unwrap_or(now),
            lifetime,
            invited.expires_at,
        );
        // A lost answer began the PIN's life, and it ended before the mail was accepted: it begins anew.
        let until = if until <= now {
            valid_until(method, now, lifetime, invited.expires_at)
        } else {
            until
        };
        let link_only = QrPayload::EnrollmentUrl;
        let registration = invited.registration.as_ref();
        let payload = registration.map_or(&link_only, |registration| &registration.qr_payload);
        let letter = Letter {
            to,
            method,
            secrets: &secrets,
            until,
            note: invited.note.as_deref(),
            payload,
        };
        let rendered = if invited.is_reminder {
            self.writer.reminder(&letter)
        } else {
            self.writer.invitation(&letter)
        };
        rendered.map_err(|error| error.to_string())
    }

    fn confirmation(&self, enrolled: &Enrolled, to: &Addressee) -> Result<Rendered, String> {
        self.writer
            .confirmation(
                to,
                enrolled
                    .model
                    .as_deref()
                    .unwrap_or(enrolled.platform.shown()),
                &enrolled.number,
                enrolled.ownership,
                enrolled.enrolled_at,
            )
            .map_err(|error| error.to_string())
    }
}

/// Who a message is to, if the user is still there and has an address.
pub(super) fn addressee(claimed: &Claimed) -> Option<Addressee> {
    Some(Addressee {
        display_name: claimed.display_name.clone()?,
        username: claimed.username.clone()?,
        email: claimed.email.clone()?,
        time_zone: claimed.time_zone.clone(),
        lang: Lang::negotiate(claimed.locale.as_deref()),
    })
}
