//! A message that was claimed, with all that it takes to send it. Pure.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use crate::{
    model::{
        device::Platform,
        invitation::{Method, State},
        ownership::Ownership,
        registration::Registration,
    },
    string_enum,
};

string_enum! {
    /// Why nothing is sent, beside the end of an invitation: then its state is the reason.
    Unsent {
        /// The batch was canceled.
        Canceled = "canceled",
        /// There is no address.
        NoEmail = "no_email",
        /// Mails to the address come back.
        EmailSuppressed = "email_suppressed",
    }
}

/// A message that this instance holds until `lease`, with all that it takes to send it.
#[derive(Debug, Clone)]
pub struct Claimed {
    pub id: Uuid,
    /// Also the fencing token: a result counts only while the message has this number.
    pub attempts: i32,
    /// Tries so far that the mail server refused for more than its own pace: how long the next wait is.
    pub refusals: i16,
    pub queued_at: DateTime<Utc>,
    pub display_name: Option<String>,
    pub username: Option<String>,
    pub email: Option<String>,
    pub time_zone: Option<String>,
    pub locale: Option<String>,
    /// Nothing is sent to the address.
    pub is_suppressed: bool,
    pub about: About,
}

impl Claimed {
    /// The counter that its secrets are derived with, if it has any.
    pub fn counter(&self) -> Option<i32> {
        match &self.about {
            About::Invitation(invited) => Some(invited.counter),
            About::Enrollment(_) => None,
        }
    }
}

/// What a message is about.
#[derive(Debug, Clone)]
pub enum About {
    Invitation(Invited),
    Enrollment(Enrolled),
}

/// What an invitation's message is made of.
#[derive(Debug, Clone)]
pub struct Invited {
    pub invitation_id: Uuid,
    /// The batch that the message is part of.
    pub batch_id: Option<Uuid>,
    /// Whether the message reminds of the invitation.
    pub is_reminder: bool,
    /// The mail that it reminds of: the last one with the invitation that was accepted.
    pub reminds_of: Option<Uuid>,
    /// Its batch was canceled.
    pub is_canceled: bool,
    /// As it is stored.
    pub state: State,
    pub method: Method,
    pub key_id: String,
    pub counter: i32,
    pub pin_length: i16,
    pub pin_lifetime_days: i16,
    pub pin_issued_at: Option<DateTime<Utc>>,
    pub expires_at: DateTime<Utc>,
    pub note: Option<String>,
    /// The version of the registration setting that it was sent with.
    pub registration_id: Option<Uuid>,
    /// What that says; `None` if this instance cannot read it.
    pub registration: Option<Arc<Registration>>,
}

/// What an enrollment's message is made of.
#[derive(Debug, Clone)]
pub struct Enrolled {
    pub enrollment_id: Uuid,
    pub enrolled_at: DateTime<Utc>,
    pub ownership: Ownership,
    pub platform: Platform,
    pub model: Option<String>,
    pub number: String,
}
