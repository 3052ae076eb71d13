//! Who gets an invitation, and who does not and why. Pure: preview and send both ask here.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::domain::{Delivery, Method, Overrides, Ownership};
use crate::{mail::catalogue::Lang, settings::Applied, string_enum};

string_enum! {
    /// Why somebody gets no invitation.
    SkipReason {
        /// The user is disabled.
        UserDisabled = "user_disabled",
        /// The user has no e-mail address.
        NoEmail = "no_email",
        /// The method needs a password and the user has none.
        NoPassword = "no_password",
    }
}

/// What the plan must know of a recipient: small, because there may be 100,000.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    pub user_id: Uuid,
    pub has_email: bool,
    pub enabled: bool,
    pub has_password: bool,
    /// The language of the mail.
    pub lang: Lang,
}

/// How everybody of a request is invited: settings, and what the administrator says instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terms {
    pub method: Method,
    pub device_ownership: Ownership,
    pub pin_length: u8,
    pub pin_lifetime_days: u8,
    pub invitation_lifetime: chrono::Duration,
    pub confirmation: bool,
    pub delivery: Delivery,
    /// `None`: each recipient's own.
    pub lang: Option<Lang>,
    /// Whether a language was asked for that there is none of.
    pub lang_is_missing: bool,
}

impl Terms {
    /// The terms that `overrides` leave of the settings.
    pub fn of(settings: &Applied, overrides: &Overrides) -> Self {
        let registration = &settings.registration;
        Self {
            method: overrides.method.unwrap_or(registration.method),
            device_ownership: overrides
                .device_ownership
                .unwrap_or(registration.device_ownership),
            pin_length: registration.pin_length,
            pin_lifetime_days: registration.pin_lifetime_days,
            invitation_lifetime: registration.invitation_lifetime(),
            confirmation: settings.confirmation,
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

    /// The language in which this recipient is written to.
    pub fn lang_for(&self, own: Option<&str>) -> Lang {
        self.lang.unwrap_or_else(|| Lang::negotiate(own))
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

/// Decides about one recipient; nobody holds anybody else back.
pub fn decide(recipient: &Recipient, terms: &Terms) -> Decision {
    if !recipient.enabled {
        Decision::Skip(SkipReason::UserDisabled)
    } else if terms.delivery == Delivery::Email && !recipient.has_email {
        Decision::Skip(SkipReason::NoEmail)
    } else if terms.method.has_password() && !recipient.has_password {
        Decision::Skip(SkipReason::NoPassword)
    } else {
        Decision::Invite
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

/// What will go otherwise than asked, the same for everybody who is invited.
pub fn warnings(terms: &Terms) -> Vec<Notice> {
    let mut warnings = Vec::new();
    if terms.method == Method::Qr && terms.device_ownership != Ownership::Undefined {
        warnings.push(Notice {
            code: "ownership_not_applicable",
            detail: "The device ownership option does not apply to devices that enroll with a QR code, unless they are supervised.",
        });
    }
    if terms.lang_is_missing {
        warnings.push(Notice {
            code: "locale_not_available",
            detail: "There are no messages in the language that was asked for; they are written in the service's own.",
        });
    }
    warnings
}

/// What the administrator is told about the whole request: the reminder notice of PRODUCT §1 (5), and
/// what will go otherwise than asked.
pub fn notices(terms: &Terms, recipients: usize, invited: usize) -> Vec<Notice> {
    if recipients == 0 {
        return vec![Notice {
            code: "nobody_matched",
            detail: "Nobody is selected: no user matches.",
        }];
    }
    if invited == 0 {
        return Vec::new();
    }
    let mut notices = warnings(terms);
    if terms.confirmation {
        notices.push(Notice {
            code: "confirmation_email",
            detail: "Confirmation e-mails are on: users in the setting's distribution receive one after they have enrolled.",
        });
    }
    notices
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recipient() -> Recipient {
        Recipient {
            user_id: Uuid::nil(),
            has_email: true,
            enabled: true,
            has_password: true,
            lang: Lang::DEFAULT,
        }
    }

    fn terms(method: Method, delivery: Delivery) -> Terms {
        let overrides = Overrides {
            method: Some(method),
            delivery,
            ..Overrides::default()
        };
        Terms::of(&Applied::default(), &overrides)
    }

    #[test]
    fn everybody_who_can_be_reached_is_invited() {
        for method in [
            Method::Pin,
            Method::Password,
            Method::PinAndPassword,
            Method::Qr,
        ] {
            assert_eq!(
                decide(&recipient(), &terms(method, Delivery::Email)),
                Decision::Invite
            );
        }
    }

    #[test]
    fn who_is_skipped_and_why() {
        use Decision::{Invite, Skip};
        let no_email = Recipient {
            has_email: false,
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
        for (who, method, delivery, expected) in [
            (
                &no_email,
                Method::Pin,
                Delivery::Email,
                Skip(SkipReason::NoEmail),
            ),
            (&no_email, Method::Pin, Delivery::None, Invite),
            (
                &disabled,
                Method::Pin,
                Delivery::Email,
                Skip(SkipReason::UserDisabled),
            ),
            (
                &disabled,
                Method::Qr,
                Delivery::None,
                Skip(SkipReason::UserDisabled),
            ),
            (
                &no_password,
                Method::Password,
                Delivery::Email,
                Skip(SkipReason::NoPassword),
            ),
            (
                &no_password,
                Method::PinAndPassword,
                Delivery::None,
                Skip(SkipReason::NoPassword),
            ),
            (&no_password, Method::Pin, Delivery::Email, Invite),
            (&no_password, Method::Qr, Delivery::Email, Invite),
        ] {
            assert_eq!(
                decide(who, &terms(method, delivery)),
                expected,
                "{who:?} {method}"
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
                let warned = !warnings(&Terms::of(&Applied::default(), &overrides)).is_empty();
                assert_eq!(
                    warned,
                    method == Method::Qr && owner != Ownership::Undefined
                );
            }
        }
    }

    #[test]
    fn the_confirmation_notice_needs_somebody_who_is_invited() {
        let mut terms = terms(Method::Pin, Delivery::Email);
        assert!(notices(&terms, 3, 3).is_empty());
        terms.confirmation = true;
        assert!(notices(&terms, 3, 0).is_empty());
        assert_eq!(notices(&terms, 3, 3)[0].code, "confirmation_email");
    }
}
