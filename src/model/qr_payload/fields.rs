//! The values that a QR payload is made of, each checked when it is read. Pure.

use std::{collections::BTreeMap, fmt};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use serde::{Serialize, Serializer};
use url::Url;

use super::hidden::{Secret, TOKEN, secret_text, shown_text, shown_url};
use crate::{
    checked_text,
    model::wire::{Faults, Flaw, check_length, line, parse_text},
};

/// The most extras of one setting.
const MOST_EXTRAS: usize = 20;

/// The extra of ours in Android's admin extras bundle.
pub const TOKEN_EXTRA: &str = "enrollment_token";

checked_text!(
    /// An Android component: package, slash and class, as in `com.example.dpc/.AdminReceiver`.
    ComponentName,
    component_name
);
checked_text!(
    /// A SHA-256 in URL-safe base64 without padding: 43 characters.
    Checksum,
    checksum
);
secret_text!(
    /// Where an Android package is downloaded from: an https address of up to 500 characters.
    DownloadLocation,
    |text| https_url(text, 500),
    shown_url
);
secret_text!(
    /// An https address of up to 1,000 characters in which `{token}` stands for the invitation's token.
    TokenUrl,
    |text| token_url(text, 1_000),
    shown_url
);
secret_text!(
    /// An enrollment token of the Android Management API, given by the administrator: whoever has it can enroll devices.
    EnrollmentToken,
    enrollment_token,
    shown_text
);
macro_rules! shown_as_text {
    ($($name:ident),+) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }
    )+};
}
shown_as_text!(
    ComponentName,
    DownloadLocation,
    Checksum,
    TokenUrl,
    EnrollmentToken
);

/// More for a device policy controller: up to 20 names, each with one line of up to 500 characters, in
/// which `{token}` stands for the invitation's token.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Extras(BTreeMap<String, String>);

impl fmt::Debug for Extras {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Deserr<Faults> for Extras {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        // deserr's own maps take what they have, and forget the faults of the rest.
        let given =
            <BTreeMap<String, serde_json::Value> as Deserr<Faults>>::deserialize_from_value(
                value, location,
            )?;
        if given.len() > MOST_EXTRAS {
            let count = given.len();
            let detail = format!("holds {count} extras; at most {MOST_EXTRAS} are taken");
            return Err(Faults::at(location, "too_many", detail));
        }
        let mut faults = Faults::default();
        let mut extras = BTreeMap::new();
        for (name, value) in given {
            let place = location.push_key(&name);
            if let Err(flaw) = extra_name(&name) {
                faults.0.extend(Faults::at(place, flaw.code, flaw.detail).0);
            }
            match parse_text(value.into_value(), place, |text| line(text, 500)) {
                Ok(text) => {
                    extras.insert(name, text);
                }
                Err(more) => faults.0.extend(more.0),
            }
        }
        if faults.0.is_empty() {
            Ok(Self(extras))
        } else {
            Err(faults)
        }
    }
}

impl Extras {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each at its place.
    pub(super) fn secrets(&mut self, place: String) -> impl Iterator<Item = Secret<'_>> {
        self.0.iter_mut().map(move |(name, text)| Secret {
            place: format!("{place}/{name}"),
            text,
            shown: shown_text,
        })
    }

    /// Each with the token in its place.
    pub(super) fn with<'a>(&'a self, token: &'a str) -> impl Iterator<Item = (&'a str, String)> {
        let extras = self.0.iter();
        extras.map(move |(name, text)| (name.as_str(), text.replace(TOKEN, token)))
    }
}

impl TokenUrl {
    /// Whether there is nothing in it that may be a key: then everybody may see it.
    pub fn is_open(&self) -> bool {
        shown_url(self.as_str()) == self.as_str()
    }

    /// The address with the token in its place. A token is safe in an address: letters, digits, `-`, `_`.
    pub fn with(&self, token: &str) -> String {
        self.as_str().replace(TOKEN, token)
    }

    /// The address for somebody without a token, who has a PIN or a password instead: without the
    /// parameter or the last part of the path that the token would be. `None` where it is elsewhere.
    pub fn without_token(&self) -> Option<String> {
        let text = self.as_str();
        let (rest, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        let mut url = path.strip_suffix(TOKEN).unwrap_or(path).to_owned();
        let parameters: Vec<&str> = query
            .split('&')
            .filter(|parameter| {
                !parameter.is_empty()
                    && parameter
                        .split_once('=')
                        .is_none_or(|(_, value)| value != TOKEN)
            })
            .collect();
        if !parameters.is_empty() {
            url = format!("{url}?{}", parameters.join("&"));
        }
        if !fragment.is_empty() && fragment != TOKEN {
            url = format!("{url}#{fragment}");
        }
        (!url.contains(TOKEN)).then_some(url)
    }
}

fn component_name(text: &str) -> Result<String, Flaw> {
    let is_name = |name: &str, also: &str| {
        name.starts_with(|first: char| first.is_ascii_alphabetic() || also.contains(first))
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || c == '_' || also.contains(c))
    };
    let text = text.trim();
    check_length(text, 255)?;
    text.split_once('/')
        .filter(|(package, class)| {
            let class = class.strip_prefix('.').unwrap_or(class);
            package.contains('.')
                && package.split('.').all(|name| is_name(name, ""))
                && class.split('.').all(|name| is_name(name, "_$"))
        })
        .map(|_| text.to_owned())
        .ok_or_else(|| {
            Flaw::new(
                "invalid_component_name",
                "must be a package, a slash and a class, such as com.example.dpc/.AdminReceiver",
            )
        })
}

/// An https address: absolute, with a host, and without a user or a fragment.
fn parsed_url(text: &str, most: usize) -> Result<Url, Flaw> {
    check_length(text, most)?;
    Url::parse(text)
        .ok()
        .filter(|url| {
            url.scheme() == "https"
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && text.bytes().all(|byte| byte.is_ascii_graphic())
                && !text.contains(['"', '\\', '<', '>', '^', '`', '|'])
        })
        .ok_or_else(|| {
            Flaw::new(
                "invalid_url",
                "must be an https address, such as https://mdm.example.com/start (other letters than \
                 ASCII percent-encoded)",
            )
        })
}

/// An https address as it was written.
///
/// # Errors
/// `too_long` above `most` characters, `invalid_url`.
pub fn https_url(text: &str, most: usize) -> Result<String, Flaw> {
    let text = text.trim();
    if text.contains(['{', '}']) {
        return Err(Flaw::new("invalid_url", "must not hold braces"));
    }
    parsed_url(text, most).map(|_| text.to_owned())
}

/// An https address that may hold `{token}` behind its host.
///
/// # Errors
/// `too_long` above `most` characters, `invalid_url`.
pub fn token_url(text: &str, most: usize) -> Result<String, Flaw> {
    let text = text.trim();
    check_length(text, most)?;
    let filled = text.replace(TOKEN, "x");
    if filled.contains(['{', '}']) {
        return Err(Flaw::new(
            "invalid_url",
            "must not hold other braces than those of {token}",
        ));
    }
    let url = parsed_url(&filled, most)?;
    let same_host = parsed_url(&text.replace(TOKEN, "y"), most)
        .is_ok_and(|other| url.host() == other.host() && url.port() == other.port());
    if same_host {
        Ok(text.to_owned())
    } else {
        Err(Flaw::new(
            "invalid_url",
            "may hold {token} in the path or query only",
        ))
    }
}

fn enrollment_token(text: &str) -> Result<String, Flaw> {
    let text = text.trim();
    if text.is_empty() {
        return Err(Flaw::new("empty", "must not be empty"));
    }
    check_length(text, 500)?;
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(Flaw::new(
            "invalid_token",
            "must be the `value` of an enrollment token of the Android Management API",
        ))
    }
}

fn checksum(text: &str) -> Result<String, Flaw> {
    let is_sha256 = URL_SAFE_NO_PAD
        .decode(text)
        .is_ok_and(|bytes| bytes.len() == 32);
    if is_sha256 {
        Ok(text.to_owned())
    } else {
        Err(Flaw::new(
            "invalid_checksum",
            "must be a SHA-256 in URL-safe base64 without padding: 43 letters, digits, `-` and `_`",
        ))
    }
}

fn extra_name(name: &str) -> Result<(), Flaw> {
    let is_sane = (1..=100).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-'));
    if name == TOKEN_EXTRA {
        Err(Flaw::new("reserved", "is the invitation's token already"))
    } else if is_sane {
        Ok(())
    } else {
        Err(Flaw::new(
            "invalid_name",
            "must be 1 to 100 letters, digits, `.`, `_` and `-`",
        ))
    }
}
