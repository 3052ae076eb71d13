//! What is asked when a device enrolls, and what is answered. Pure.

use chrono::{DateTime, Utc};
use deserr::Deserr;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    devices::domain::Device,
    model::{
        device::{DeviceId, Label, Platform, SerialNumber, is_placeholder},
        identity::Username,
        invitation::Method,
        ownership::{Decided, DeviceFacts, Ownership},
        secret_input::{Given, GivenPassword, GivenPin, GivenToken},
        wire::{Fault, Faults},
    },
    string_enum,
};

string_enum! {
    /// Whose the enrolling user says the device is.
    OwnerChoice {
        UserOwned = "user_owned",
        CompanyOwned = "company_owned",
    }
}

impl OwnerChoice {
    /// The owner that was chosen.
    pub fn owner(self) -> Ownership {
        match self {
            Self::UserOwned => Ownership::UserOwned,
            Self::CompanyOwned => Ownership::CompanyOwned,
        }
    }
}

/// A device as the caller describes it.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct DeviceReport {
    /// This or `device_id` is needed. Upper and lower case are the same.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 100)]
    #[deserr(default)]
    pub serial_number: Option<SerialNumber>,
    /// This or `serial_number` is needed: for devices that show no serial number.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 200)]
    #[deserr(default)]
    pub device_id: Option<DeviceId>,
    /// `other` unless given.
    #[deserr(default)]
    pub platform: Option<Platform>,
    #[schema(value_type = Option<String>, max_length = 100)]
    #[deserr(default)]
    pub model: Option<Label>,
    #[schema(value_type = Option<String>, max_length = 100)]
    #[deserr(default)]
    pub os_version: Option<Label>,
    /// Taken from a caller with a key only. What such a caller said of a device that is held stays while this is left out.
    #[deserr(default)]
    #[schema(value_type = Option<bool>)]
    pub supervised: Option<bool>,
    /// An Apple User Enrollment, which is not supervised. Taken as `supervised` is.
    #[deserr(default)]
    #[schema(value_type = Option<bool>)]
    pub user_enrollment: Option<bool>,
}

impl DeviceReport {
    /// What decides who owns it: what is said now, else what was said before; and one of the two is not the other.
    pub fn facts(&self, before: DeviceFacts) -> DeviceFacts {
        let (supervised, user_enrollment) = (self.supervised, self.user_enrollment);
        DeviceFacts {
            supervised: supervised.unwrap_or(before.supervised && user_enrollment != Some(true)),
            user_enrollment: user_enrollment
                .unwrap_or(before.user_enrollment && supervised != Some(true)),
        }
    }

    /// A placeholder where a serial number or an id is not known is not given: else all devices without one would be one.
    fn forget_placeholders(&mut self) {
        self.serial_number
            .take_if(|serial| is_placeholder(serial.as_str()));
        self.device_id.take_if(|id| is_placeholder(id.as_str()));
    }

    /// What runs on it.
    pub fn platform(&self) -> Platform {
        self.platform.unwrap_or(Platform::Other)
    }

    /// Whether this is that device: it has one of its two names, and none that is another's.
    pub fn is(&self, device: &Device) -> bool {
        let serial = self
            .serial_number
            .as_ref()
            .zip(device.serial_number.as_ref())
            .map(|(given, known)| given.as_str().to_lowercase() == known.to_lowercase());
        let id = self
            .device_id
            .as_ref()
            .zip(device.device_id.as_ref())
            .map(|(given, known)| given.as_str() == known);
        let names = [serial, id];
        names.contains(&Some(true)) && !names.contains(&Some(false))
    }
}

/// The body of `POST /enrollments`.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct EnrollRequest {
    /// Or the e-mail address; upper and lower case are the same. With `pin` or `password`, or both.
    #[schema(value_type = Option<String>, min_length = 1, max_length = 254)]
    #[deserr(default)]
    pub username: Option<Username>,
    #[schema(value_type = Option<String>, max_length = 256)]
    #[deserr(default)]
    pub pin: Option<GivenPin>,
    #[schema(value_type = Option<String>, max_length = 256)]
    #[deserr(default)]
    pub password: Option<GivenPassword>,
    /// Of a QR code; alone.
    #[schema(value_type = Option<String>, max_length = 256)]
    #[deserr(default)]
    pub token: Option<GivenToken>,
    /// Taken where the setting is `user_owned` and the method lets an owner be chosen. `company_owned` is taken from a
    /// caller with a key only.
    #[deserr(default)]
    pub owner_choice: Option<OwnerChoice>,
    pub device: DeviceReport,
}

/// What somebody has to show.
#[derive(Debug)]
pub enum Proof {
    /// A name, and a PIN or a password or both.
    Typed {
        username: Username,
        pin: Option<Given>,
        password: Option<Given>,
    },
    /// A QR code's token.
    Token(Given),
}

/// A device that wants to enroll.
#[derive(Debug)]
pub struct Attempt {
    pub proof: Proof,
    pub owner_choice: Option<Ownership>,
    pub device: DeviceReport,
}

impl EnrollRequest {
    /// Checks what only shows once all fields are known. `trusted`: the caller has a key, and its word on
    /// the device counts.
    ///
    /// # Errors
    /// Every fault.
    pub fn attempt(mut self, trusted: bool) -> Result<Attempt, Vec<Fault>> {
        let mut faults = Faults::default();
        self.device.forget_placeholders();
        if !trusted {
            let is_company_owned = self.owner_choice == Some(OwnerChoice::CompanyOwned);
            for (pointer, claimed) in [
                ("/device/supervised", self.device.supervised == Some(true)),
                (
                    "/device/user_enrollment",
                    self.device.user_enrollment == Some(true),
                ),
                ("/owner_choice", is_company_owned),
            ] {
                if claimed {
                    faults.push(
                        pointer,
                        "needs_key",
                        "only a caller with an API key can say so; leave it out",
                    );
                }
            }
            // What it denies is not taken either: somebody with a key may have said it.
            (self.device.supervised, self.device.user_enrollment) = (None, None);
        }
        if self.device.serial_number.is_none() && self.device.device_id.is_none() {
            faults.push(
                "/device",
                "unidentified",
                "give serial_number or device_id; what stands for an unknown one, such as `unknown` or `0`, is none",
            );
        }
        let proof = match (self.token, self.username) {
            (Some(token), None) if self.pin.is_none() && self.password.is_none() => {
                Some(Proof::Token(token.0))
            }
            (Some(_), _) => {
                faults.push(
                    "/token",
                    "not_alone",
                    "a token stands alone: give it without username, pin and password",
                );
                None
            }
            (None, Some(username)) => {
                if self.pin.is_none() && self.password.is_none() {
                    faults.push("/pin", "required", "give pin, password or both");
                }
                Some(Proof::Typed {
                    username,
                    pin: self.pin.map(|pin| pin.0),
                    password: self.password.map(|password| password.0),
                })
            }
            (None, None) => {
                faults.push(
                    "/username",
                    "required",
                    "give username with pin or password, or token alone",
                );
                None
            }
        };
        faults.into_result()?;
        Ok(Attempt {
            // Without it, there was a fault.
            proof: proof.ok_or_else(Vec::new)?,
            owner_choice: self.owner_choice.map(OwnerChoice::owner),
            device: self.device,
        })
    }
}

/// The body of `POST /enrollments/pin-requests`.
#[derive(Debug, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct RequestPin {
    /// Or the e-mail address; upper and lower case are the same.
    #[schema(value_type = String, min_length = 1, max_length = 254)]
    pub username: Username,
}

/// The answer of `POST /enrollments/pin-requests`, whoever asks for whomever.
#[derive(Debug, Serialize, ToSchema)]
pub struct PinRequested {
    #[schema(value_type = String)]
    pub detail: &'static str,
}

/// Who enrolled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EnrolledUser {
    pub id: Uuid,
    pub username: String,
    #[schema(required)]
    pub email: Option<String>,
    pub display_name: String,
}

/// An enrollment, as the API shows one.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Enrollment {
    pub id: Uuid,
    pub user: EnrolledUser,
    /// `null`: with the password alone.
    #[schema(required)]
    pub invitation_id: Option<Uuid>,
    pub method: Method,
    pub device: Device,
    pub device_ownership: Decided,
    /// Whether the user gets a confirmation by e-mail.
    pub confirmation_email: bool,
    pub enrolled_at: DateTime<Utc>,
}
