//! Who gets an invitation, and who does not and why: preview and send both ask here. Pure.
//!
//! Length: half of it are tests, the longest of them a table of who is skipped.

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
    }
}

/// What the plan must know of a recipient: small, because there may be 100,000.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    pub user_id: Uuid,
    pub has_email: bool,
    /// Nothing is sent to the address.
    pub is_suppressed: bool,
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
    /// `None`: each recipient's own.
    pub lang: Option<Lang>,
    /// Whether a language was asked for that there is none of.
    pub lang_is_missing: bool,
}

impl Plan {
    /// What `overrides` leave of the settings.
    pub fn of(rules: &Rules, overrides: &Overrides) -> Self {
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
mod tests {
    use super::*;

    const FIRST: Which = Which {
        registration: 0,
        confirmation: 0,
    };

    fn recipient() -> Recipient {
        Recipient {
            user_id: Uuid::nil(),
            has_email: true,
            is_suppressed: false,
            enabled: true,
            has_password: true,
            lang: Lang::DEFAULT,
            which: FIRST,
            devices: 0,
        }
    }

    fn plan(method: Method, delivery: Delivery) -> Plan {
        let overrides = Overrides {
            method: Some(method),
            delivery,
            ..Overrides::default()
        };
        Plan::of(&Rules::default(), &overrides)
    }

    /// A custom registration setting with a QR code and a device, and confirmations by a custom one.
    fn two_of_each() -> Rules {
        let qr = Registration {
            method: Method::Qr,
            pin_length: 4,
            device_ownership: Ownership::UserOwned,
            device_limit: Some(2),
            ..Registration::default()
        };
        Rules {
            registrations: vec![
                (Some(Uuid::max()), qr),
                (Some(Uuid::nil()), Registration::default()),
            ],
            confirmations: vec![true, false],
            custom: Vec::new(),
        }
    }

    const SECOND: Which = Which {
        registration: 1,
        confirmation: 1,
    };

    #[test]
    fn everybody_who_can_be_reached_is_invited() {
        for method in [
            Method::Pin,
            Method::Password,
            Method::PinAndPassword,
            Method::Qr,
        ] {
            let plan = plan(method, Delivery::Email);
            assert_eq!(plan.decide(&recipient()), Decision::Invite);
        }
    }

    #[test]
    fn who_is_skipped_and_why() {
        use Decision::{Invite, Skip};
        let no_email = Recipient {
            has_email: false,
            ..recipient()
        };
        let suppressed = Recipient {
            is_suppressed: true,
            ..recipient()
        };
        let disabled = Recipient {
            enabled: false,
            has_email: false,
            ..recipient()
        };
        let no_password = Recipient {
            has_password: false,
            ..recipient()
        };
        let (by_mail, by_hand) = (Delivery::Email, Delivery::None);
        for (who, method, delivery, expected) in [
            (&no_email, Method::Pin, by_mail, Skip(SkipReason::NoEmail)),
            (&no_email, Method::Pin, by_hand, Invite),
            (
                &suppressed,
                Method::Pin,
                by_mail,
                Skip(SkipReason::EmailSuppressed),
            ),
            (&suppressed, Method::Pin, by_hand, Invite),
            (
                &disabled,
                Method::Pin,
                by_mail,
                Skip(SkipReason::UserDisabled),
            ),
            (
                &disabled,
                Method::Qr,
                by_hand,
                Skip(SkipReason::UserDisabled),
            ),
            (
                &no_password,
                Method::Password,
                by_mail,
                Skip(SkipReason::NoPassword),
            ),
            (
                &no_password,
                Method::PinAndPassword,
                by_hand,
                Skip(SkipReason::NoPassword),
            ),
            (&no_password, Method::Pin, by_mail, Invite),
            (&no_password, Method::Qr, by_mail, Invite),
        ] {
            let decision = plan(method, delivery).decide(who);
            assert_eq!(decision, expected, "{who:?} {method}");
        }
    }

    #[test]
    fn each_recipient_is_invited_as_the_own_setting_says() {
        let plan = Plan::of(&two_of_each(), &Overrides::default());
        assert_eq!(plan.terms(FIRST).method, Method::Qr);
        assert_eq!(plan.terms(FIRST).registration_id, Some(Uuid::max()));
        assert_eq!(plan.terms(SECOND).method, Method::Pin);
        assert_eq!(plan.terms(SECOND).registration.pin_length, 8);
        let overrides = Overrides {
            method: Some(Method::Password),
            device_ownership: Some(Ownership::Undefined),
            ..Overrides::default()
        };
        let plan = Plan::of(&two_of_each(), &overrides);
        for (which, pin_length) in [(FIRST, 4), (SECOND, 8)] {
            let terms = plan.terms(which);
            assert_eq!(
                (terms.method, terms.device_ownership),
                (Method::Password, Ownership::Undefined)
            );
            assert_eq!(
                terms.registration.pin_length, pin_length,
                "what is not overridden stays"
            );
        }
    }

    #[test]
    fn who_holds_as_many_devices_as_the_setting_allows_is_skipped() {
        let plan = Plan::of(&two_of_each(), &Overrides::default());
        assert!(plan.limits_devices());
        for (which, devices, is_invited) in [
            (FIRST, 1, true),
            (FIRST, 2, false),
            (FIRST, 3, false),
            (SECOND, 1_000, true),
        ] {
            let decision = plan.decide(&Recipient {
                which,
                devices,
                ..recipient()
            });
            let skipped = Decision::Skip(SkipReason::DeviceLimitReached);
            assert_eq!(
                decision,
                if is_invited {
                    Decision::Invite
                } else {
                    skipped
                }
            );
        }
    }

    #[test]
    fn choosing_an_owner_for_qr_warns_and_nothing_else_does() {
        for method in [Method::Pin, Method::Qr] {
            for owner in [Ownership::Undefined, Ownership::CompanyOwned] {
                let overrides = Overrides {
                    method: Some(method),
                    device_ownership: Some(owner),
                    ..Overrides::default()
                };
                let plan = Plan::of(&Rules::default(), &overrides);
                let warned = !plan.warnings(plan.terms(FIRST)).is_empty();
                assert_eq!(
                    warned,
                    method == Method::Qr && owner != Ownership::Undefined
                );
            }
        }
    }

    #[test]
    fn notices_are_about_those_who_are_invited() {
        let plan = Plan::of(&two_of_each(), &Overrides::default());
        let codes = |invited: &[Recipient]| -> Vec<&'static str> {
            let mut tally = plan.tally();
            invited
                .iter()
                .for_each(|recipient| tally.add(&plan, recipient));
            let notices = plan.notices(3, &tally);
            notices.iter().map(|notice| notice.code).collect()
        };
        let second = Recipient {
            which: SECOND,
            ..recipient()
        };
        let without_address = Recipient {
            has_email: false,
            ..recipient()
        };
        assert!(codes(&[]).is_empty());
        assert!(codes(std::slice::from_ref(&second)).is_empty());
        assert_eq!(
            codes(&[second, recipient(), recipient()]),
            ["ownership_not_applicable", "confirmation_email"]
        );
        assert_eq!(codes(&[without_address]), ["ownership_not_applicable"]);
        assert_eq!(plan.notices(0, &plan.tally())[0].code, "nobody_matched");
    }
}
