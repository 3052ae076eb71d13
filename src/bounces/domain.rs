//! What comes of a report, and what a suppression is. Pure.

use chrono::{DateTime, Utc};
use deserr::Deserr;
use serde::Serialize;
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    checked_text, list_query,
    model::{
        identity::Email,
        mail_domain::Domain,
        named::Named,
        time::Time,
        wire::{Faults, QueryTypes, line, without_addresses},
    },
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

checked_text!(
    /// A part of a reason or of an enhanced status: one line of up to 200 characters.
    ReasonPart,
    |text| line(text, 200)
);

impl ReasonPart {
    /// The regular expression of Postgres that finds them in text in lower case. A number is found whole: `5.1.1` is no part
    /// of `5.1.10`.
    pub fn pattern(&self) -> String {
        let words = self.0.to_lowercase();
        let is_digit = |c: Option<char>| c.is_some_and(|c| c.is_ascii_digit());
        let mut pattern = String::with_capacity(words.len() * 2);
        if is_digit(words.chars().next()) {
            pattern.push_str("(?<![0-9])");
        }
        for c in words.chars() {
            if c.is_ascii_punctuation() && c != '_' {
                pattern.push('\\');
            }
            pattern.push(c);
        }
        if is_digit(words.chars().last()) {
            pattern.push_str("(?![0-9])");
        }
        pattern
    }
}

/// Which suppressions. All must hold.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    pub email: Option<Email>,
    pub user_id: Option<Uuid>,
    pub domain: Option<Domain>,
    pub reason: Option<ReasonPart>,
    pub before: Option<Time>,
}

impl Filter {
    /// What was lifted by it, for the audit log, which keeps that whoever is deleted: a word that may be an address is
    /// left out.
    pub fn told(&self, lifted: usize) -> Value {
        let reason = self.reason.as_ref().map(ReasonPart::as_str);
        json!({
            "domain": self.domain.as_ref().map(Domain::as_str),
            "reason": reason.map(without_addresses),
            "before": self.before.map(|before| before.0),
            "lifted": lifted,
        })
    }
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
        /// Only addresses of exactly this domain, in letters or as A-labels.
        #[deserr(default)]
        #[param(value_type = Option<String>, example = "example.com")]
        pub domain: Option<Domain>,
        /// Only where this is a part of the reason or of the enhanced status, without regard to case.
        #[deserr(default)]
        #[param(value_type = Option<String>, min_length = 1, max_length = 200, example = "5.1.1")]
        pub reason: Option<ReasonPart>,
        /// Only those from before this time.
        #[deserr(default)]
        #[param(value_type = Option<DateTime<Utc>>)]
        pub before: Option<Time>,
    }
);

impl ListQuery {
    /// The filters alone.
    pub fn filter(&self) -> Filter {
        Filter {
            email: self.email.clone(),
            user_id: self.user_id,
            domain: self.domain.clone(),
            reason: self.reason.clone(),
            before: self.before,
        }
    }
}

/// The query of `DELETE /suppressions`: one filter at least.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = Faults, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LiftQuery {
    /// Addresses of exactly this domain, in letters or as A-labels.
    #[deserr(default)]
    #[param(value_type = Option<String>, example = "example.com")]
    pub domain: Option<Domain>,
    /// Where this is a part of the reason or of the enhanced status, without regard to case.
    #[deserr(default)]
    #[param(value_type = Option<String>, min_length = 1, max_length = 200, example = "5.1.1")]
    pub reason: Option<ReasonPart>,
    /// Those from before this time.
    #[deserr(default)]
    #[param(value_type = Option<DateTime<Utc>>)]
    pub before: Option<Time>,
    /// Lift nothing, and only say how many it would be.
    #[deserr(default)]
    #[param(value_type = Option<bool>)]
    pub dry_run: bool,
}

impl QueryTypes for LiftQuery {
    const FLAGS: &'static [&'static str] = &["dry_run"];
}

impl LiftQuery {
    /// The filters; `None`: there is none.
    pub fn filter(self) -> Option<Filter> {
        let is_any = self.domain.is_some() || self.reason.is_some() || self.before.is_some();
        is_any.then(|| Filter {
            domain: self.domain,
            reason: self.reason,
            before: self.before,
            ..Filter::default()
        })
    }
}

/// The answer of `DELETE /suppressions`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Lifted {
    /// How many suppressions were lifted, or would be.
    pub lifted: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_as_they_are_and_numbers_whole() {
        for (words, pattern) in [
            ("Complained", "complained"),
            ("5.1.1", r"(?<![0-9])5\.1\.1(?![0-9])"),
            ("5.1.", r"(?<![0-9])5\.1\."),
            (" <Ada@x_y>: (no)* ", r"\<ada\@x_y\>\: \(no\)\*"),
            ("***=É", r"\*\*\*\=é"),
        ] {
            assert_eq!(
                ReasonPart::parse(words).unwrap().pattern(),
                pattern,
                "{words:?}"
            );
        }
        assert_eq!(ReasonPart::parse(" ").unwrap_err().code, "empty");
    }

    #[test]
    fn the_audit_log_keeps_no_address_of_a_filter() {
        let filter = Filter {
            reason: Some(ReasonPart::parse("<ada@example.com>: User unknown").unwrap()),
            ..Filter::default()
        };
        assert_eq!(
            filter.told(2),
            json!({"domain": null, "reason": "… User unknown", "before": null, "lifted": 2})
        );
    }
}
