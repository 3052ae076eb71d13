//! What applies to a user. Until settings are a resource, the defaults of PRODUCT §5 apply to all.

use chrono::Duration;

use crate::invitations::domain::{Method, Ownership};

/// The registration setting: how a user enrolls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registration {
    /// What the user enrolls with.
    pub method: Method,
    /// Digits of a PIN, 4 to 12.
    pub pin_length: u8,
    /// Days that a PIN works, 1 to 30, inside the invitation's own life.
    pub pin_lifetime_days: u8,
    /// Days that an invitation works, 1 to 30.
    pub invitation_lifetime_days: u8,
    /// Who owns the devices, unless the administrator says otherwise.
    pub device_ownership: Ownership,
    /// How many devices the user may hold.
    pub device_limit: Option<u32>,
}

impl Default for Registration {
    fn default() -> Self {
        Self {
            method: Method::Pin,
            pin_length: 8,
            pin_lifetime_days: 1,
            invitation_lifetime_days: 7,
            device_ownership: Ownership::Undefined,
            device_limit: None,
        }
    }
}

impl Registration {
    /// How long an invitation works.
    pub fn invitation_lifetime(&self) -> Duration {
        Duration::days(i64::from(self.invitation_lifetime_days))
    }
}

/// The settings that apply to a user.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Applied {
    /// How the user enrolls.
    pub registration: Registration,
    /// Whether the user gets a confirmation after enrolling.
    pub confirmation: bool,
}
