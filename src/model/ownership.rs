//! Who owns a device: the 24 cells of PRODUCT §2. Pure.

use serde::Serialize;
use utoipa::ToSchema;

use super::invitation::Method;
use crate::string_enum;

string_enum! {
    /// Why the owner is the one that it is, in the order in which it is looked at.
    Reason {
        /// An Apple User Enrollment is always the user's own device.
        UserEnrollment = "user_enrollment",
        /// A supervised device is always the organisation's.
        Supervised = "supervised",
        /// Nobody can be chosen for this method.
        MethodNotApplicable = "method_not_applicable",
        /// The option is off.
        SettingOff = "setting_off",
        /// The user chose while enrolling.
        UserChoice = "user_choice",
        /// As the administrator said.
        Setting = "setting",
    }
}

/// What a device says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeviceFacts {
    /// Supervised by the organisation.
    pub supervised: bool,
    /// Enrolled as an Apple User Enrollment, which cannot be supervised.
    pub user_enrollment: bool,
}

/// Who owns a device, and why.
pub fn effective(
    device: DeviceFacts,
    method: Method,
    requested: Ownership,
    choice: Option<Ownership>,
) -> (Ownership, Reason) {
    if device.user_enrollment {
        return (Ownership::UserOwned, Reason::UserEnrollment);
    }
    if device.supervised {
        return (Ownership::CompanyOwned, Reason::Supervised);
    }
    if method == Method::Qr {
        return (Ownership::Undefined, Reason::MethodNotApplicable);
    }
    match (requested, choice) {
        (Ownership::Undefined, _) => (Ownership::Undefined, Reason::SettingOff),
        (Ownership::UserOwned, Some(chosen)) => (chosen, Reason::UserChoice),
        (requested, _) => (requested, Reason::Setting),
    }
}

/// Who owns a device that has enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = EnrolledOwnership)]
pub struct Decided {
    /// What the invitation, or the user's setting, asked for.
    pub requested: Ownership,
    /// What it came to.
    pub effective: Ownership,
    /// Why.
    pub reason: Reason,
}

/// Decides when a device enrolls.
pub fn decided(
    device: DeviceFacts,
    method: Method,
    requested: Ownership,
    choice: Option<Ownership>,
) -> Decided {
    let (effective, reason) = effective(device, method, requested, choice);
    Decided {
        requested,
        effective,
        reason,
    }
}

/// Ownership as answers show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = DeviceOwnership)]
pub struct Shown {
    /// What was asked for.
    pub requested: Ownership,
    /// What it comes to, for a device that is not supervised.
    pub effective: Ownership,
    /// Why.
    pub reason: Reason,
    /// What it comes to, for a supervised device.
    pub if_supervised: Ownership,
}

/// What an invitation says before any device is known.
pub fn shown(method: Method, requested: Ownership) -> Shown {
    let (effective_owner, reason) = effective(DeviceFacts::default(), method, requested, None);
    let supervised = DeviceFacts {
        supervised: true,
        user_enrollment: false,
    };
    Shown {
        requested,
        effective: effective_owner,
        reason,
        if_supervised: effective(supervised, method, requested, None).0,
    }
}

string_enum! {
    /// Who owns a device (PRODUCT §2).
    Ownership {
        /// The option is off.
        Undefined = "undefined",
        /// The user's own device.
        UserOwned = "user_owned",
        /// The organisation's device.
        CompanyOwned = "company_owned",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Ownership::{CompanyOwned, Undefined, UserOwned};

    const METHODS: [Method; 4] = [
        Method::Pin,
        Method::Password,
        Method::PinAndPassword,
        Method::Qr,
    ];
    const SETTINGS: [Ownership; 3] = [Undefined, UserOwned, CompanyOwned];

    /// All 24 cells of the table, written out as the specification writes them.
    #[test]
    fn the_table() {
        for method in METHODS {
            for setting in SETTINGS {
                let device = DeviceFacts {
                    supervised: true,
                    ..DeviceFacts::default()
                };
                assert_eq!(
                    effective(device, method, setting, None),
                    (CompanyOwned, Reason::Supervised)
                );
                let expected = match (method, setting) {
                    (Method::Qr, _) => (Undefined, Reason::MethodNotApplicable),
                    (_, Undefined) => (Undefined, Reason::SettingOff),
                    (_, UserOwned) => (UserOwned, Reason::Setting),
                    (_, CompanyOwned) => (CompanyOwned, Reason::Setting),
                };
                assert_eq!(
                    effective(DeviceFacts::default(), method, setting, None),
                    expected
                );
            }
        }
    }

    #[test]
    fn a_user_enrollment_comes_ahead_of_the_table() {
        for supervised in [false, true] {
            for (method, setting) in METHODS.iter().flat_map(|m| SETTINGS.map(|s| (*m, s))) {
                let device = DeviceFacts {
                    supervised,
                    user_enrollment: true,
                };
                let expected = (UserOwned, Reason::UserEnrollment);
                assert_eq!(
                    effective(device, method, setting, Some(CompanyOwned)),
                    expected
                );
            }
        }
    }

    #[test]
    fn a_users_choice_counts_where_the_setting_is_user_owned_and_the_method_allows_it() {
        let device = DeviceFacts::default();
        for method in METHODS {
            for setting in SETTINGS {
                let (owner, reason) = effective(device, method, setting, Some(CompanyOwned));
                let counts = setting == UserOwned && method != Method::Qr;
                assert_eq!(reason == Reason::UserChoice, counts, "{method} {setting}");
                if counts {
                    assert_eq!(owner, CompanyOwned);
                }
            }
        }
    }
}
