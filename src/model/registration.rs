//! How a user enrolls: the registration setting, of which each invitation keeps the version that it was sent with. Pure.

use chrono::Duration;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    invitation::Method,
    ownership::Ownership,
    qr_payload::{QrPayload, TokenUrl},
};

/// The registration setting: how a user enrolls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Registration {
    /// What the user enrolls with.
    pub method: Method,
    /// Digits of a PIN, 4 to 12.
    pub pin_length: u8,
    /// Days that a PIN works, 1 to 30, inside the invitation's own life.
    pub pin_lifetime_days: u8,
    /// Days that an invitation works, 1 to 30.
    pub invitation_lifetime_days: u8,
    /// Whether the user may ask for the PIN again.
    pub allow_pin_request: bool,
    /// Who owns the devices, unless the administrator says otherwise.
    pub device_ownership: Ownership,
    /// How many devices the user may hold; `null`: any number.
    #[schema(required)]
    pub device_limit: Option<u32>,
    /// Where the landing page leads to: an https address with `{token}` in it.
    #[schema(value_type = Option<String>, required)]
    pub mdm_url: Option<TokenUrl>,
    /// What a QR code says.
    pub qr_payload: QrPayload,
}

impl Default for Registration {
    fn default() -> Self {
        Self {
            method: Method::Pin,
            pin_length: 8,
            pin_lifetime_days: 1,
            invitation_lifetime_days: 7,
            allow_pin_request: true,
            device_ownership: Ownership::Undefined,
            device_limit: None,
            mdm_url: None,
            qr_payload: QrPayload::default(),
        }
    }
}

impl Registration {
    /// How long an invitation works.
    pub fn invitation_lifetime(&self) -> Duration {
        Duration::days(i64::from(self.invitation_lifetime_days))
    }
}
