//! What a report means for the message that it is about, and for the address that the message went to. Pure.

use super::{
    codes::{Enhanced, reply_code, says_nobody, says_otherwise, says_too_late},
    fields::{Action, Recipient},
    reading::Report,
};
use crate::{
    bounces::domain::BounceOutcome,
    model::{
        identity::{Username, name_key},
        said::masked,
    },
};

/// What became of a mail after a server had taken it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It was given up.
    Bounced {
        words: Words,
        /// For a reason that stays (class 5). What cannot be read is none.
        is_hard: bool,
        /// Because nobody can be reached at the address that it went to, now or later.
        is_about_the_address: bool,
    },
    /// It is still tried.
    Late(Words),
    /// Whom it reached does not want it.
    Complained {
        /// Whether that is whom it was sent to, rather than somebody to whom it went on.
        is_about_the_address: bool,
    },
    /// It arrived, or went on to where nobody reports from.
    Delivered,
}

/// What the reporting server said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Words {
    /// RFC 3463, such as `5.1.1`.
    pub status: Option<String>,
    /// The reply code that it quotes (RFC 5321).
    pub code: Option<i16>,
    /// In words, on one line.
    pub reason: Option<String>,
}

impl Verdict {
    /// What a report says of a message that went to an address; `None` if nobody has that address any more.
    ///
    /// A report about our address counts rather than one about whom it went on to (RFC 3464 §2.3.1, §2.3.2), and says
    /// nothing against our address in the second case. A mail that reached anybody, as where an address is a list, is
    /// not one that came back.
    pub fn of(report: &Report, address: Option<&str>) -> Self {
        let address = address.and_then(key);
        let is_ours = |named: &str| address.is_some() && key(named) == address;
        let recipients = match report {
            Report::Status(recipients) => recipients,
            Report::Complaint(about) => {
                return Self::Complained {
                    is_about_the_address: about.is_empty() || about.iter().any(|one| is_ours(one)),
                };
            }
        };
        let last = |one: &Recipient| one.last.as_deref().is_some_and(is_ours);
        let first = |one: &Recipient| one.first.as_deref().is_some_and(is_ours);
        let is_about_us = recipients.iter().any(last);
        let went_on = recipients.iter().any(first);
        let about: Vec<&Recipient> = recipients
            .iter()
            .filter(|one| match (is_about_us, went_on) {
                (true, _) => last(one),
                (_, true) => first(one),
                _ => true,
            })
            .collect();
        let with = |action| about.iter().find(|one| done(one) == action);
        match (
            with(Action::Delivered),
            with(Action::Failed),
            with(Action::Delayed),
        ) {
            (None, Some(failed), _) => Reason::of(failed).bounced(is_about_us),
            (None, None, Some(delayed)) => Self::Late(Reason::of(delayed).words()),
            _ => Self::Delivered,
        }
    }

    /// Why nothing more is to be sent to the address, if so: the server's words, or that of whom it reached.
    pub fn against_the_address(self) -> Option<Words> {
        match self {
            Self::Bounced {
                words,
                is_about_the_address: true,
                ..
            } => Some(words),
            Self::Complained {
                is_about_the_address: true,
            } => Some(Words {
                reason: Some(BounceOutcome::Complained.as_str().to_owned()),
                ..Words::default()
            }),
            _ => None,
        }
    }
}

/// What was done with the mail. OpenSMTPD calls one delayed that it gives up because its time is over.
fn done(recipient: &Recipient) -> Action {
    let words = recipient.words.as_deref().unwrap_or_default();
    match recipient.action {
        Action::Delayed if says_too_late(words) => Action::Failed,
        action => action,
    }
}

/// How addresses are compared: as names are.
fn key(address: &str) -> Option<String> {
    Some(name_key(Username::parse(address).ok()?.as_str()))
}

/// Why a mail is not there yet, or never will be.
struct Reason<'a> {
    /// As the report says.
    status: Option<Enhanced>,
    /// As its words say.
    quoted: Option<Enhanced>,
    code: Option<u16>,
    words: &'a str,
}

impl<'a> Reason<'a> {
    fn of(recipient: &'a Recipient) -> Self {
        let words = recipient.words.as_deref().unwrap_or_default();
        let is_failure = |code: &Enhanced| code.class != 2;
        Self {
            status: recipient.status.filter(is_failure),
            quoted: Enhanced::find(words).filter(is_failure),
            code: reply_code(words),
            words,
        }
    }

    /// The code that says most: the report's, unless that is vague and its words have a better one.
    fn enhanced(&self) -> Option<Enhanced> {
        let both = || [self.status, self.quoted].into_iter().flatten();
        let specific = both().find(|code| !code.is_vague());
        specific
            .or_else(|| both().find(|code| !code.is_empty()))
            .or_else(|| both().next())
    }

    /// 4 or 5, if anything says so. Of a vague status, the reply code knows better.
    fn class(&self) -> Option<u16> {
        let specific = self
            .enhanced()
            .filter(|code| !code.is_empty() || self.quoted.is_some());
        let class = |code: Enhanced| code.class;
        specific
            .map(class)
            .or_else(|| self.code.map(|code| code / 100))
            .or_else(|| self.enhanced().map(class))
    }

    /// Every code that says something must say that it is the address. Where none does, well-known words may.
    fn is_the_address(&self) -> bool {
        if self.class() != Some(5)
            || self.code.is_some_and(|code| code < 500)
            || says_otherwise(self.words)
        {
            return false;
        }
        let mut said = [self.status, self.quoted]
            .into_iter()
            .flatten()
            .filter(|code| !code.is_vague())
            .peekable();
        match said.peek() {
            Some(_) => said.all(Enhanced::is_about_the_address),
            None => says_nobody(self.words),
        }
    }

    fn bounced(&self, is_about_us: bool) -> Verdict {
        Verdict::Bounced {
            words: self.words(),
            is_hard: self.class() == Some(5) && !says_too_late(self.words),
            is_about_the_address: is_about_us && self.is_the_address(),
        }
    }

    fn words(&self) -> Words {
        // The only way in for a report's words: it may quote the mail that came back, with its secrets.
        let line = masked(self.words);
        let status = self
            .enhanced()
            .filter(|code| Some(code.class) == self.class());
        Words {
            status: status.map(|code| code.to_string()),
            code: self.code.and_then(|code| i16::try_from(code).ok()),
            reason: (!line.is_empty()).then_some(line),
        }
    }
}
