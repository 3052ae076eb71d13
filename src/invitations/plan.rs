//! Who gets an invitation, and who does not and why: preview and send both ask here. Pure.

use std::num::NonZeroU32;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::domain::Overrides;
use crate::{
    mail::catalogue::Lang,
    model::{
        invitation::{Delivery, Method},
        ownership::Ownership,
        registration::Registration,
    },
    settings::rules::{Rules, Which},
    string_enum,
};

string_enum! {
    /// Why somebody gets no invitation.
    SkipReason {
        /// The user is disabled.
        UserDisabled = "user_disabled",
        /// The user has no e-mail address.
        NoEmail = "no_email",
        /// A mail to the user's address came back for good.
        EmailSuppressed = "email_suppressed",
        /// The method needs a password and the user has none.
        NoPassword = "no_password",
        /// The user holds as many devices as the setting allows.
        DeviceLimitReached = "device_limit_reached",
        /// The user was mailed as many invitations in the last 24 hours as anybody may get.
        MailedTooOften = "mailed_too_often",
    }
}

/// How many invitation mails a user may get within 24 hours, over all sends and resends (PRODUCT §7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MailsADay(pub NonZeroU32);

impl Default for MailsADay {
    fn default() -> Self {
        Self(NonZeroU32::MIN.saturating_add(19))
    }
}

/// What the plan must know of a recipient: small, because there may be 100,000.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    pub user_id: Uuid,
    pub has_email: bool,
    /// Nothing is sent to the address.
    pub is_suppressed: bool,
    /// Was mailed as many invitations lately as may be; counted only where it is to be mailed.
    pub is_mailed_too_often: bool,
    pub enabled: bool,
    pub has_password: bool,
    /// The language of the mail.
    pub lang: Lang,
    /// Which of the settings apply.
    pub which: Which,
    /// How many devices the user holds; counted only where a setting limits them.
    pub devices: u32,
}

/// How the users of one registration setting are invited: what it says, and what the administrator says instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    /// The setting's version, which stays with the invitation.
    pub registration_id: Option<Uuid>,
    pub registration: Registration,
    pub method: Method,
    pub device_ownership: Ownership,
}

/// How everybody of a request is invited.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// By registration setting; the default's are the last.
    terms: Vec<Terms>,
    /// By confirmation setting, likewise.
    confirmations: Vec<bool>,
    pub delivery: Delivery,
    /// How often anybody is mailed.
    pub mails_a_day: MailsADay,
    /// `None`: each recipient's own.
    pub lang: Option<Lang>,
    /// Whether a language was asked for that there is none of.
    pub lang_is_missing: bool,
}

impl Plan {
    /// What `overrides` leave of the settings.
    pub fn of(rules: &Rules, overrides: &Overrides, mails_a_day: MailsADay) -> Self {
        let terms = rules
            .registrations
            .iter()
            .map(|(version, registration)| Terms {
                registration_id: *version,
                method: overrides.method.unwrap_or(registration.method),
                device_ownership: overrides
                    .device_ownership
                    .unwrap_or(registration.device_ownership),
                registration: registration.clone(),
            });
        Self {
            terms: terms.collect(),
            confirmations: rules.confirmations.clone(),
            delivery: overrides.delivery,
            mails_a_day,
            lang: overrides
                .locale
                .as_ref()
                .map(|locale| Lang::negotiate(Some(locale.as_str()))),
            lang_is_missing: overrides.locale.as_ref().is_some_and(|locale| {
                let primary = locale.as_str().split('-').next().unwrap_or_default();
                Lang::negotiate(Some(locale.as_str())) == Lang::DEFAULT
                    && Lang::parse(primary) != Some(Lang::DEFAULT)
            }),
        }
    }

    /// How this recipient is invited.
    pub fn terms(&self, which: Which) -> &Terms {
        &self.terms[which.registration as usize]
    }

    /// Whether this recipient gets a confirmation after enrolling.
    pub fn is_confirmed(&self, recipient: &Recipient) -> bool {
        recipient.has_email && self.confirmations[recipient.which.confirmation as usize]
    }

    /// Whether any setting limits devices.
    pub fn limits_devices(&self) -> bool {
        let mut terms = self.terms.iter();
        terms.any(|terms| terms.registration.device_limit.is_some())
    }

    /// The language in which this recipient is written to.
    pub fn lang_for(&self, own: Option<&str>) -> Lang {
        self.lang.unwrap_or_else(|| Lang::negotiate(own))
    }

    /// Decides about one recipient; nobody holds anybody else back.
    pub fn decide(&self, recipient: &Recipient) -> Decision {
        let terms = self.terms(recipient.which);
        let limit = terms.registration.device_limit;
        if !recipient.enabled {
            Decision::Skip(SkipReason::UserDisabled)
        } else if self.delivery == Delivery::Email && !recipient.has_email {
            Decision::Skip(SkipReason::NoEmail)
        } else if self.delivery == Delivery::Email && recipient.is_suppressed {
            Decision::Skip(SkipReason::EmailSuppressed)
        } else if terms.method.has_password() && !recipient.has_password {
            Decision::Skip(SkipReason::NoPassword)
        } else if limit.is_some_and(|limit| recipient.devices >= limit) {
            Decision::Skip(SkipReason::DeviceLimitReached)
        } else if self.delivery == Delivery::Email && recipient.is_mailed_too_often {
            Decision::Skip(SkipReason::MailedTooOften)
        } else {
            Decision::Invite
        }
    }

    /// What will go otherwise than asked for these recipients.
    pub fn warnings(&self, terms: &Terms) -> Vec<Notice> {
        let mut warnings = Vec::new();
        if terms.method == Method::Qr && terms.device_ownership != Ownership::Undefined {
            warnings.push(Notice {
                code: "ownership_not_applicable",
                detail: "The device ownership option does not apply to devices that enroll with a QR code, unless they are supervised.",
            });
        }
        if self.lang_is_missing {
            warnings.push(Notice {
                code: "locale_not_available",
                detail: "There are no messages in the language that was asked for; they are written in the service's own.",
            });
        }
        warnings
    }

    /// A tally of nobody.
    pub fn tally(&self) -> Tally {
        Tally {
            invited: 0,
            by_terms: vec![0; self.terms.len()],
            is_confirmed: false,
        }
    }

    /// What the administrator is told about the whole request: the reminder notice of PRODUCT §1 (5), and
    /// what will go otherwise than asked for any who are invited.
    pub fn notices(&self, recipients: usize, tally: &Tally) -> Vec<Notice> {
        if recipients == 0 {
            return vec![Notice {
                code: "nobody_matched",
                detail: "Nobody is selected: no user matches.",
            }];
        }
        let mut notices: Vec<Notice> = Vec::new();
        let invited = self.terms.iter().zip(&tally.by_terms);
        for (terms, _) in invited.filter(|(_, invited)| **invited > 0) {
            for warning in self.warnings(terms) {
                if !notices.contains(&warning) {
                    notices.push(warning);
                }
            }
        }
        if tally.is_confirmed {
            notices.push(Notice {
                code: "confirmation_email",
                detail: "Confirmation e-mails are on: users in the setting's distribution receive one after they have enrolled.",
            });
        }
        notices
    }
}

/// What happens with a recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Gets an invitation.
    Invite,
    /// Gets none.
    Skip(SkipReason),
}

/// Who is invited, counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tally {
    pub invited: usize,
    by_terms: Vec<usize>,
    /// Whether any of them gets a confirmation after enrolling.
    is_confirmed: bool,
}

impl Tally {
    /// One more who is invited.
    pub fn add(&mut self, plan: &Plan, recipient: &Recipient) {
        self.invited += 1;
        self.by_terms[recipient.which.registration as usize] += 1;
        self.is_confirmed |= plan.is_confirmed(recipient);
    }
}

/// What the service was not told, though mails tell it on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Untold {
    /// Where the links in mails lead.
    pub public_url: bool,
    /// Who mails are from.
    pub sender: bool,
}

impl Untold {
    /// What the administrator is told of that before anything is sent.
    pub fn notices(self, delivery: Delivery) -> impl Iterator<Item = Notice> {
        let links = self.public_url.then_some(Notice {
            code: "public_url_not_set",
            detail: "The service was not told its public URL: the links may lead to its own machine alone. Whoever runs it sets ENLIST_PUBLIC_URL.",
        });
        let sender = (self.sender && delivery == Delivery::Email).then_some(Notice {
            code: "sender_not_set",
            detail: "The service was not told who mails are from, and real mail servers refuse enlist@localhost. Whoever runs it sets ENLIST_MAIL_FROM.",
        });
        links.into_iter().chain(sender)
    }
}

/// Something that will go otherwise than asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Notice {
    /// For programs.
    #[schema(value_type = String)]
    pub code: &'static str,
    /// For people.
    #[schema(value_type = String)]
    pub detail: &'static str,
}

#[cfg(test)]
mod tests;
