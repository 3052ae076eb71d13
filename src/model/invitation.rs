//! The states of an invitation and of its messages, and how long it works. Pure.

use chrono::{DateTime, Duration, Utc};

use crate::string_enum;

string_enum! {
    /// What a user enrolls with (PRODUCT §3).
    Method {
        /// A PIN.
        Pin = "pin",
        /// The user's own password.
        Password = "password",
        /// A PIN and the user's own password.
        PinAndPassword = "pin_and_password",
        /// A QR code.
        Qr = "qr",
    }
}

impl Method {
    /// Whether a PIN is part of it.
    pub const fn has_pin(self) -> bool {
        matches!(self, Self::Pin | Self::PinAndPassword)
    }

    /// Whether the user's own password is part of it.
    pub const fn has_password(self) -> bool {
        matches!(self, Self::Password | Self::PinAndPassword)
    }
}

string_enum! {
    /// How an invitation reaches its user.
    Delivery {
        /// By e-mail.
        Email = "email",
        /// Issued without mailing.
        None = "none",
    }
}

string_enum! {
    /// How far an invitation got.
    State {
        /// The user can enroll with it.
        Pending = "pending",
        /// The user has enrolled with it.
        Completed = "completed",
        /// Its time is over.
        Expired = "expired",
        /// Taken back.
        Revoked = "revoked",
        /// Replaced by a newer one.
        Superseded = "superseded",
    }
}

impl State {
    /// The state of an invitation at a time, whether or not anything has marked it as expired yet. The one place for this
    /// rule in Rust; statements that filter by state or end invitations have it in SQL.
    pub fn at(self, expires_at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        if self == Self::Pending && expires_at <= now {
            Self::Expired
        } else {
            self
        }
    }
}

string_enum! {
    /// How far a message got.
    MessageState {
        /// Waits for its first try.
        Queued = "queued",
        /// On the wire.
        Sending = "sending",
        /// The mail server has it.
        Accepted = "accepted",
        /// Refused for now; will be tried again.
        Deferred = "deferred",
        /// Came back.
        Bounced = "bounced",
        /// Refused for good, or tried for too long.
        Failed = "failed",
        /// Not sent, on purpose: its invitation ended before.
        Suppressed = "suppressed",
    }
}

string_enum! {
    /// How far an invitation's newest message got; `none` where nothing was mailed.
    DeliveryState {
        None = "none",
        Queued = "queued",
        Sending = "sending",
        Accepted = "accepted",
        Deferred = "deferred",
        Bounced = "bounced",
        Failed = "failed",
        Suppressed = "suppressed",
    }
}

impl From<MessageState> for DeliveryState {
    fn from(state: MessageState) -> Self {
        match state {
            MessageState::Queued => Self::Queued,
            MessageState::Sending => Self::Sending,
            MessageState::Accepted => Self::Accepted,
            MessageState::Deferred => Self::Deferred,
            MessageState::Bounced => Self::Bounced,
            MessageState::Failed => Self::Failed,
            MessageState::Suppressed => Self::Suppressed,
        }
    }
}

string_enum! {
    /// What a message is.
    MessageKind {
        Invitation = "invitation",
        Reminder = "reminder",
        Confirmation = "confirmation",
    }
}

string_enum! {
    /// How far a user's newest invitation got (PRODUCT §6).
    InviteStatus {
        /// Never invited.
        NotInvited = "not_invited",
        /// Invited, and can still enroll.
        Pending = "pending",
        /// Enrolled with the invitation.
        Completed = "completed",
        /// Invited, but the invitation no longer works.
        Expired = "expired",
    }
}

/// Until when what the letter carries works: the PIN's life inside the invitation's own.
pub fn valid_until(
    method: Method,
    pin_issued_at: DateTime<Utc>,
    pin_lifetime_days: u8,
    expires_at: DateTime<Utc>,
) -> DateTime<Utc> {
    if method.has_pin() {
        expires_at.min(pin_issued_at + Duration::days(i64::from(pin_lifetime_days)))
    } else {
        expires_at
    }
}

/// When a stored invitation's PIN stops working; `None` where it has no PIN, or the PIN's life has
/// not begun.
pub fn pin_expires_at(
    method: Method,
    pin_issued_at: Option<DateTime<Utc>>,
    pin_lifetime_days: i16,
    expires_at: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let days = u8::try_from(pin_lifetime_days).unwrap_or(u8::MAX);
    pin_issued_at
        .filter(|_| method.has_pin())
        .map(|issued| valid_until(method, issued, days, expires_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pin_lives_inside_its_invitation() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let in_days = |days| now + Duration::days(days);
        assert_eq!(valid_until(Method::Pin, now, 1, in_days(7)), in_days(1));
        assert_eq!(
            valid_until(Method::PinAndPassword, in_days(6), 3, in_days(7)),
            in_days(7)
        );
        assert_eq!(valid_until(Method::Qr, now, 1, in_days(7)), in_days(7));
    }
}
