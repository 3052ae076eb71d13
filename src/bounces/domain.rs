//! What comes of a report, and what a suppression is. Pure.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    list_query,
    model::{identity::Email, named::Named},
    string_enum,
};

string_enum! {
    /// What came of a report.
    BounceOutcome {
        /// The mail came back for good, for a reason that stays (class 5): its message is `bounced`.
        Hard = "hard",
        /// The mail is late: the server's words are kept with the message. Or it was given up for a reason that may pass
        /// (class 4) or cannot be read: then the message is `bounced`, too.
        Soft = "soft",
        /// Whom it reached does not want such mails: nothing more is sent to the address, the message stays as it is.
        Complained = "complained",
        /// It says nothing that changes anything, as that a mail has arrived; or it is no report that can be read.
        Ignored = "ignored",
        /// It has no token of ours, or its message is forgotten: nothing is believed.
        Unmatched = "unmatched",
    }
}

/// The answer of `POST /mail/bounces`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Taken {
    pub outcome: BounceOutcome,
    /// The message that came back.
    #[schema(required)]
    pub message_id: Option<Uuid>,
    /// Its invitation; `null` if it was about none.
    #[schema(required)]
    pub invitation_id: Option<Uuid>,
    /// Whether nothing more is sent to the address.
    #[serde(rename = "suppressed")]
    pub is_suppressed: bool,
}

impl Named for Suppression {
    const NAME: &'static str = "suppression";
}

/// An address to which nothing is sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct Suppression {
    pub id: Uuid,
    /// In lower case.
    pub email: String,
    /// The user whose address it was.
    pub user_id: Uuid,
    /// As the server that reported it said (RFC 3463).
    #[schema(required)]
    pub enhanced_status: Option<String>,
    /// In its words; `complained` where whom a mail reached did not want it.
    #[schema(required)]
    pub reason: Option<String>,
    pub created_at: DateTime<Utc>,
}

list_query!(
    /// The query of `GET /suppressions`.
    ListQuery() {
        /// Only this address.
        #[deserr(default)]
        #[param(value_type = Option<String>)]
        pub email: Option<Email>,
        /// Only this user's.
        #[deserr(default)]
        pub user_id: Option<Uuid>,
    }
);
