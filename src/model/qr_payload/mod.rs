//! What a QR code says: a link, or what a phone's set-up assistant reads. Pure.
//!
//! The registration setting chooses the kind (PRODUCT §4). Whatever is taken here fits into a picture:
//! it is measured with the longest token while it is parsed.

mod fields;
mod hidden;

use std::fmt::Write;

use deserr::{Deserr, IntoValue, Map as _, Value, ValuePointerRef};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

pub use fields::{
    Checksum, ComponentName, DownloadLocation, EnrollmentToken, Extras, TOKEN_EXTRA, TokenUrl,
    https_url, token_url,
};
pub use hidden::{Secret, TOKEN};

use crate::{
    model::wire::{Faults, Flaw},
    secrets::token,
    string_enum,
};

/// Bytes that a QR code of version 40 holds at error correction M (ISO/IEC 18004, table 7).
const MOST_BYTES: usize = 2_331;

/// Characters of the longest token: the longest id of a key has 16.
const LONGEST_TOKEN: usize = 70;

/// Google's Android Device Policy, as the Android Management API's guide to QR provisioning has it.
const AMAPI_COMPONENT: &str =
    "com.google.android.apps.work.clouddpc/.receivers.CloudDeviceAdminReceiver";
const AMAPI_DOWNLOAD: &str = "https://play.google.com/managed/downloadManagingApp?identifier=setup";
const AMAPI_CHECKSUM: &str = "I5YvS0O5hXY46mb01BlRjq4oJJGs2kuUcHvVkAPEXlg";
const AMAPI_TOKEN: &str = "com.google.android.apps.work.clouddpc.EXTRA_ENROLLMENT_TOKEN";

/// The values of `DevicePolicyManager`'s constants `EXTRA_PROVISIONING_*`.
mod extra {
    pub const COMPONENT_NAME: &str = "android.app.extra.PROVISIONING_DEVICE_ADMIN_COMPONENT_NAME";
    pub const DOWNLOAD_LOCATION: &str =
        "android.app.extra.PROVISIONING_DEVICE_ADMIN_PACKAGE_DOWNLOAD_LOCATION";
    pub const SIGNATURE_CHECKSUM: &str =
        "android.app.extra.PROVISIONING_DEVICE_ADMIN_SIGNATURE_CHECKSUM";
    pub const PACKAGE_CHECKSUM: &str =
        "android.app.extra.PROVISIONING_DEVICE_ADMIN_PACKAGE_CHECKSUM";
    pub const ADMIN_EXTRAS: &str = "android.app.extra.PROVISIONING_ADMIN_EXTRAS_BUNDLE";
    pub const LEAVE_SYSTEM_APPS: &str =
        "android.app.extra.PROVISIONING_LEAVE_ALL_SYSTEM_APPS_ENABLED";
    pub const SKIP_ENCRYPTION: &str = "android.app.extra.PROVISIONING_SKIP_ENCRYPTION";
}

string_enum! {
    /// Which of the payloads it is.
    PayloadKind {
        EnrollmentUrl = "enrollment_url",
        AndroidDpc = "android_dpc",
        AndroidAmapi = "android_amapi",
        AppleUrl = "apple_url",
    }
}

/// What the QR codes of a registration setting say. JSON of a stored one is read by the same parser
/// that reads requests.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum QrPayload {
    /// The landing page's link with the invitation's token.
    #[default]
    EnrollmentUrl,
    /// Android Enterprise: a new or reset device installs a device policy controller.
    AndroidDpc(AndroidDpc),
    /// Google's Android Device Policy, for servers on the Android Management API.
    AndroidAmapi(AndroidAmapi),
    /// A link to a configuration profile for Apple devices.
    AppleUrl(AppleUrl),
}

/// The device policy controller that Android installs. The invitation's token is in the admin extras
/// bundle as `enrollment_token`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields, validate = belong_together -> Faults)]
#[serde(deny_unknown_fields)]
pub struct AndroidDpc {
    /// The controller's admin receiver: `com.example.dpc/.AdminReceiver`.
    #[schema(value_type = String, max_length = 255)]
    pub component_name: ComponentName,
    /// Where its package is downloaded from (https).
    #[schema(value_type = String, format = "uri", max_length = 500)]
    pub download_location: DownloadLocation,
    /// SHA-256 of the certificate that signed the package, in URL-safe base64 without padding. This
    /// or `package_checksum`.
    #[schema(value_type = String, required = false, min_length = 43, max_length = 43)]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub signature_checksum: Option<Checksum>,
    /// SHA-256 of the package itself, in URL-safe base64 without padding; another with every release.
    #[schema(value_type = String, required = false, min_length = 43, max_length = 43)]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub package_checksum: Option<Checksum>,
    /// More for the controller, such as its server, in the admin extras bundle (at most 20). `{token}`
    /// in a value stands for the invitation's token.
    #[schema(value_type = BTreeMap<String, String>, required = false)]
    #[serde(skip_serializing_if = "Extras::is_empty")]
    #[deserr(default)]
    pub extras: Extras,
    /// Keep all system apps.
    #[schema(value_type = bool, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub leave_all_system_apps_enabled: Option<bool>,
    /// Do not encrypt the storage while setting up.
    #[schema(value_type = bool, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub skip_encryption: Option<bool>,
}

/// What Google's Android Device Policy enrolls with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct AndroidAmapi {
    /// The `value` of an enrollment token made with the Android Management API: the same for everybody,
    /// and not the invitation's.
    #[schema(value_type = String, min_length = 1, max_length = 500)]
    pub enrollment_token: EnrollmentToken,
    /// Keep all system apps.
    #[schema(value_type = bool, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub leave_all_system_apps_enabled: Option<bool>,
    /// Do not encrypt the storage while setting up.
    #[schema(value_type = bool, required = false)]
    #[serde(skip_serializing_if = "Option::is_none")]
    #[deserr(default)]
    pub skip_encryption: Option<bool>,
}

/// Where a configuration profile is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct AppleUrl {
    /// The profile's address (https). `{token}` in it stands for the invitation's token.
    #[schema(value_type = String, max_length = 1000)]
    pub url: TokenUrl,
}

/// A kind that has nothing to choose.
#[derive(Deserr)]
#[deserr(error = Faults, deny_unknown_fields)]
struct Nothing {}

impl Deserr<Faults> for QrPayload {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        let mut rest = match value {
            Value::Map(map) => map,
            other => {
                return Err(Faults::at(
                    location,
                    "wrong_type",
                    format!("expected an object with a `kind`, not {}", other.kind()),
                ));
            }
        };
        let place = location.push_key("kind");
        let kind = rest
            .remove("kind")
            .ok_or_else(|| Faults::at(place, "required", "this field is required"))?;
        let kind = PayloadKind::deserialize_from_value(kind.into_value(), place)?;
        let rest: Value<V> = Value::Map(rest);
        let payload = match kind {
            PayloadKind::EnrollmentUrl => Nothing::deserialize_from_value(rest, location)
                .map(|Nothing {}| Self::EnrollmentUrl),
            PayloadKind::AndroidDpc => {
                AndroidDpc::deserialize_from_value(rest, location).map(Self::AndroidDpc)
            }
            PayloadKind::AndroidAmapi => {
                AndroidAmapi::deserialize_from_value(rest, location).map(Self::AndroidAmapi)
            }
            PayloadKind::AppleUrl => {
                AppleUrl::deserialize_from_value(rest, location).map(Self::AppleUrl)
            }
        }?;
        let fits = payload.fits();
        fits.map_err(|flaw| Faults::at(location, flaw.code, flaw.detail))?;
        Ok(payload)
    }
}

/// What only shows once all fields are known.
fn belong_together(dpc: AndroidDpc, location: ValuePointerRef) -> Result<AndroidDpc, Faults> {
    match (&dpc.signature_checksum, &dpc.package_checksum) {
        (None, None) => Err(Faults::at(
            location.push_key("signature_checksum"),
            "required",
            "this field or package_checksum is required",
        )),
        (Some(_), Some(_)) => Err(Faults::at(
            location.push_key("package_checksum"),
            "one_of_two",
            "give this field or signature_checksum, not both",
        )),
        _ => Ok(dpc),
    }
}

impl QrPayload {
    /// Which one it is.
    pub const fn kind(&self) -> PayloadKind {
        match self {
            Self::EnrollmentUrl => PayloadKind::EnrollmentUrl,
            Self::AndroidDpc(_) => PayloadKind::AndroidDpc,
            Self::AndroidAmapi(_) => PayloadKind::AndroidAmapi,
            Self::AppleUrl(_) => PayloadKind::AppleUrl,
        }
    }

    /// What not everybody may see, each at its place behind that of the payload: addresses and extras, which may hold keys, and
    /// an enrollment token of the Android Management API, which enrolls whoever has it.
    pub fn secrets(&mut self, place: &str) -> Vec<Secret<'_>> {
        match self {
            Self::EnrollmentUrl => Vec::new(),
            Self::AndroidDpc(dpc) => {
                let location = dpc
                    .download_location
                    .secret(format!("{place}/download_location"));
                let extras = dpc.extras.secrets(format!("{place}/extras"));
                std::iter::once(location).chain(extras).collect()
            }
            Self::AndroidAmapi(amapi) => {
                vec![
                    amapi
                        .enrollment_token
                        .secret(format!("{place}/enrollment_token")),
                ]
            }
            Self::AppleUrl(apple) => vec![apple.url.secret(format!("{place}/url"))],
        }
    }

    /// Whether a picture holds it, with the longest token.
    ///
    /// # Errors
    /// How long it is.
    pub fn fits(&self) -> Result<(), Flaw> {
        let length = self.says(&"x".repeat(LONGEST_TOKEN), "").len();
        if length > MOST_BYTES {
            let detail = format!("makes {length} bytes; a QR code holds {MOST_BYTES}");
            return Err(Flaw::new("too_long", detail));
        }
        Ok(())
    }

    /// What the picture says, for the invitation's token and the landing page's link with it.
    pub fn says(&self, token: &str, link: &str) -> String {
        match self {
            Self::EnrollmentUrl => link.to_owned(),
            Self::AndroidDpc(dpc) => {
                let mut bundle = json!({ TOKEN_EXTRA: token });
                for (name, text) in dpc.extras.with(token) {
                    bundle[name] = text.into();
                }
                let mut told = json!({
                    extra::COMPONENT_NAME: dpc.component_name.as_str(),
                    extra::DOWNLOAD_LOCATION: dpc.download_location.as_str(),
                    extra::ADMIN_EXTRAS: bundle,
                });
                for (name, checksum) in [
                    (extra::SIGNATURE_CHECKSUM, &dpc.signature_checksum),
                    (extra::PACKAGE_CHECKSUM, &dpc.package_checksum),
                ] {
                    if let Some(checksum) = checksum {
                        told[name] = checksum.as_str().into();
                    }
                }
                set_up(told, dpc.leave_all_system_apps_enabled, dpc.skip_encryption)
            }
            Self::AndroidAmapi(amapi) => {
                // A preview enrolls nothing, and this token is live for everybody.
                let given = if token == token::SAMPLE {
                    token::SAMPLE
                } else {
                    amapi.enrollment_token.as_str()
                };
                let told = json!({
                    extra::COMPONENT_NAME: AMAPI_COMPONENT,
                    extra::DOWNLOAD_LOCATION: AMAPI_DOWNLOAD,
                    extra::SIGNATURE_CHECKSUM: AMAPI_CHECKSUM,
                    extra::ADMIN_EXTRAS: { AMAPI_TOKEN: given },
                });
                set_up(
                    told,
                    amapi.leave_all_system_apps_enabled,
                    amapi.skip_encryption,
                )
            }
            Self::AppleUrl(apple) => apple.url.with(token),
        }
    }
}

/// Adds what the set-up assistant itself is told.
fn set_up(
    mut told: serde_json::Value,
    leave_all_system_apps_enabled: Option<bool>,
    skip_encryption: Option<bool>,
) -> String {
    for (name, choice) in [
        (extra::LEAVE_SYSTEM_APPS, leave_all_system_apps_enabled),
        (extra::SKIP_ENCRYPTION, skip_encryption),
    ] {
        if let Some(choice) = choice {
            told[name] = choice.into();
        }
    }
    ascii(&told.to_string())
}

/// The same JSON in ASCII: readers of QR codes disagree on what other bytes mean.
fn ascii(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            out.push(character);
        } else {
            for unit in character.encode_utf16(&mut [0; 2]) {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests;
