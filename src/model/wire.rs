//! How JSON becomes types: every fault is collected, with its pointer, before anything is done.
//!
//! Values are parsed into types here, at the edge; inside, nothing is checked twice.

use serde::Serialize;
use std::{convert::Infallible, ops::ControlFlow};
use utoipa::ToSchema;

use deserr::{
    DeserializeError, Deserr, ErrorKind, IntoValue, MergeWithError, Value, ValueKind,
    ValuePointerRef,
};
use unicode_normalization::UnicodeNormalization;
use uuid::Uuid;

/// More faults than anybody reads; a selection of 100,000 bad ids must not become a book.
const MOST_FAULTS: usize = 100;

/// The faults found so far.
#[derive(Debug, Default)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    /// One fault at a place in the body.
    pub fn at(location: ValuePointerRef, code: &'static str, detail: impl Into<String>) -> Self {
        Self(vec![Fault::new(pointer(location), code, detail)])
    }

    /// Adds a fault that only shows once several fields are known.
    pub fn push(&mut self, pointer: &str, code: &'static str, detail: impl Into<String>) {
        self.0.push(Fault::new(pointer, code, detail));
    }

    /// `Ok` when nothing was found.
    ///
    /// # Errors
    /// All the faults, when there are any.
    pub fn into_result(self) -> Result<(), Vec<Fault>> {
        if self.0.is_empty() {
            Ok(())
        } else {
            Err(self.0)
        }
    }
}

/// The JSON pointer (RFC 6901 §3) of a place.
fn pointer(location: ValuePointerRef) -> String {
    match location {
        ValuePointerRef::Origin => String::new(),
        ValuePointerRef::Key { key, prev } => {
            let escaped = key.replace('~', "~0").replace('/', "~1");
            let shown: String = escaped.chars().take(100).collect();
            format!("{}/{shown}", pointer(*prev))
        }
        ValuePointerRef::Index { index, prev } => format!("{}/{index}", pointer(*prev)),
    }
}

impl MergeWithError<Faults> for Faults {
    fn merge(
        known: Option<Self>,
        new: Faults,
        _location: ValuePointerRef,
    ) -> ControlFlow<Self, Self> {
        let mut all = known.unwrap_or_default();
        all.0.extend(new.0);
        if all.0.len() >= MOST_FAULTS {
            all.0.truncate(MOST_FAULTS);
            ControlFlow::Break(all)
        } else {
            ControlFlow::Continue(all)
        }
    }
}

impl DeserializeError for Faults {
    fn error<V: IntoValue>(
        known: Option<Self>,
        error: ErrorKind<V>,
        location: ValuePointerRef,
    ) -> ControlFlow<Self, Self> {
        let new = match error {
            ErrorKind::IncorrectValueKind { actual, accepted } => Self::at(
                location,
                "wrong_type",
                format!(
                    "expected {}, not {}",
                    accepted
                        .iter()
                        .map(kind_name)
                        .collect::<Vec<_>>()
                        .join(" or "),
                    kind_name(&actual.kind()),
                ),
            ),
            ErrorKind::MissingField { field } => Self::at(
                location.push_key(field),
                "required",
                "this field is required",
            ),
            ErrorKind::UnknownKey { key, accepted } => Self::at(
                location.push_key(key),
                "unknown_field",
                format!(
                    "there is no such field here; known: {}",
                    accepted.join(", ")
                ),
            ),
            ErrorKind::UnknownValue { accepted, .. } => Self::at(
                location,
                "unknown_value",
                format!("expected one of: {}", accepted.join(", ")),
            ),
            ErrorKind::BadSequenceLen { expected, .. } => Self::at(
                location,
                "wrong_length",
                format!("expected exactly {expected} items"),
            ),
            ErrorKind::Unexpected { msg } => Self::at(location, "invalid", msg),
        };
        Self::merge(known, new, location)
    }
}

fn kind_name(kind: &ValueKind) -> &'static str {
    match kind {
        ValueKind::Null => "null",
        ValueKind::Boolean => "a boolean",
        ValueKind::Integer => "a whole number of zero or more",
        ValueKind::NegativeInteger => "a negative number",
        ValueKind::Float => "a fraction",
        ValueKind::String => "a string",
        ValueKind::Sequence => "an array",
        ValueKind::Map => "an object",
    }
}

/// Parses a whole body.
///
/// # Errors
/// Every fault in it.
pub fn parse<T: Deserr<Faults>>(value: serde_json::Value) -> Result<T, Vec<Fault>> {
    deserr::deserialize(value).map_err(|faults: Faults| faults.0)
}

/// A fault that does not know its place yet: what the `parse` functions of the domain types give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// What is wrong, for programs.
    pub code: &'static str,
    /// What is wrong, for people.
    pub detail: String,
}

impl Flaw {
    /// A flaw of any kind.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}

/// Parses a string with a domain type's own `parse`.
///
/// # Errors
/// The fault at its place.
pub fn parse_text<T, V: IntoValue>(
    value: Value<V>,
    location: ValuePointerRef,
    parse: impl FnOnce(&str) -> Result<T, Flaw>,
) -> Result<T, Faults> {
    let text = <String as Deserr<Faults>>::deserialize_from_value(value, location)?;
    parse(&text).map_err(|flaw| Faults::at(location, flaw.code, flaw.detail))
}

/// One line of text as a person may write it: composed (NFC), trimmed, of 1 to `most` characters,
/// and without anything that could break a mail header or turn the reading direction around.
///
/// # Errors
/// `empty`, `too_long` or `control_character`.
pub fn line(text: &str, most: usize) -> Result<String, Flaw> {
    let line: String = text.trim().nfc().collect();
    if line.is_empty() {
        return Err(Flaw::new("empty", "must not be empty"));
    }
    check_length(&line, most)?;
    if line.chars().any(breaks_a_line) {
        return Err(Flaw::new(
            "control_character",
            "must not hold line breaks, control characters or direction overrides",
        ));
    }
    Ok(line)
}

/// # Errors
/// `too_long` above `most` characters.
pub fn check_length(text: &str, most: usize) -> Result<(), Flaw> {
    let length = text.chars().count();
    if length > most {
        return Err(Flaw::new(
            "too_long",
            format!("has {length} characters; at most {most} are allowed"),
        ));
    }
    Ok(())
}

/// Control characters, line and paragraph separators, and the bidirectional overrides and isolates
/// (Unicode TR 9), which can make `gnp.exe` of what a reader takes for `exe.png`.
pub fn breaks_a_line(c: char) -> bool {
    c.is_control()
        || is_direction_override(c)
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FFFE}' | '\u{FFFF}')
}

/// The bidirectional embeddings, overrides and isolates.
pub fn is_direction_override(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

impl Deserr<Faults> for Uuid {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        parse_text(value, location, |text| {
            Uuid::try_parse(text).map_err(|_| Flaw::new("invalid_id", "must be a UUID"))
        })
    }
}

/// One member of a JSON merge patch (RFC 7396): absent, `null` or a value.
#[derive(Debug, Default)]
pub enum Patch<T> {
    /// Not mentioned: stays as it is.
    #[default]
    Keep,
    /// `null`: taken away.
    Clear,
    /// The new value.
    Set(T),
}

impl<T: Deserr<Faults>> Deserr<Faults> for Patch<T> {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        match value {
            Value::Null => Ok(Self::Clear),
            value => T::deserialize_from_value(value, location).map(Self::Set),
        }
    }
}

/// A whole number inside a range, such as a page's limit.
///
/// # Errors
/// `wrong_type` or `out_of_range`.
pub fn whole_number<V: IntoValue>(
    value: Value<V>,
    location: ValuePointerRef,
    range: std::ops::RangeInclusive<u32>,
) -> Result<u32, Faults> {
    let out_of_range = || {
        Faults::at(
            location,
            "out_of_range",
            format!("must be from {} to {}", range.start(), range.end()),
        )
    };
    match value {
        Value::Integer(number) => u32::try_from(number)
            .ok()
            .filter(|number| range.contains(number))
            .ok_or_else(out_of_range),
        Value::NegativeInteger(_) => Err(out_of_range()),
        actual => Err(deserr::take_cf_content(Faults::error::<V>(
            None,
            ErrorKind::IncorrectValueKind {
                actual,
                accepted: &[ValueKind::Integer],
            },
            location,
        ))),
    }
}

/// Which parameters of a query are not strings. Everything in a query is text; this says what the
/// text must be, so that one set of types serves queries and bodies.
pub trait QueryTypes {
    /// Written `true` or `false`.
    const FLAGS: &'static [&'static str] = &[];
    /// Written in digits.
    const NUMBERS: &'static [&'static str] = &[];
}

/// Declares an enum that is a lower-snake-case string in JSON, in queries and in the database.
#[macro_export]
macro_rules! string_enum {
    ($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $text:tt),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, utoipa::ToSchema)]
        pub enum $name { $($(#[$variant_meta])* #[serde(rename = $text)] $variant),+ }

        impl $name {
            /// Every value, as it is written.
            pub const NAMES: &'static [&'static str] = &[$($text),+];

            /// As it is written.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }

            /// The value that is written so.
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($text => Some(Self::$variant),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl deserr::Deserr<$crate::model::wire::Faults> for $name {
            fn deserialize_from_value<V: deserr::IntoValue>(
                value: deserr::Value<V>,
                location: deserr::ValuePointerRef,
            ) -> Result<Self, $crate::model::wire::Faults> {
                $crate::model::wire::parse_text(value, location, |text| {
                    Self::from_name(text).ok_or_else(|| $crate::model::wire::Flaw::new(
                        "unknown_value",
                        format!("expected one of: {}", Self::NAMES.join(", ")),
                    ))
                })
            }
        }
    };
}

/// Declares a string that has been checked: private inside, made only by its `parse`.
#[macro_export]
macro_rules! checked_text {
    ($(#[$meta:meta])* $name:ident, $parse:expr) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name(String);

        impl $name {
            /// # Errors
            /// What is wrong with the text.
            pub fn parse(text: &str) -> Result<Self, $crate::model::wire::Flaw> {
                let parse: fn(&str) -> Result<String, $crate::model::wire::Flaw> = $parse;
                parse(text).map(Self)
            }

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The text itself.
            pub fn into_string(self) -> String {
                self.0
            }
        }

        impl deserr::Deserr<$crate::model::wire::Faults> for $name {
            fn deserialize_from_value<V: deserr::IntoValue>(
                value: deserr::Value<V>,
                location: deserr::ValuePointerRef,
            ) -> Result<Self, $crate::model::wire::Faults> {
                $crate::model::wire::parse_text(value, location, Self::parse)
            }
        }
    };
}

/// Keeps `Infallible` conversions of the derive quiet.
impl From<Infallible> for Faults {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

/// One thing that is wrong with a body or a query, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Fault {
    /// JSON pointer (RFC 6901) into the body; for a query `/` and the parameter's name.
    #[schema(examples("/user_ids/3"))]
    pub pointer: String,
    /// What is wrong, for programs.
    #[schema(value_type = String, examples("unknown_id"))]
    pub code: &'static str,
    /// What is wrong and what to do, for people.
    pub detail: String,
}

impl Fault {
    /// A fault at `pointer`.
    pub fn new(pointer: impl Into<String>, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            pointer: pointer.into(),
            code,
            detail: detail.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[derive(Debug, Deserr)]
    #[deserr(error = Faults, deny_unknown_fields)]
    struct Sample {
        #[allow(dead_code)]
        ids: Vec<Uuid>,
        #[deserr(default)]
        name: Patch<String>,
    }

    #[test]
    fn every_fault_is_listed_with_its_pointer() {
        let faults = parse::<Sample>(json!({
            "ids": ["018f", 3, "0192d3a0-0000-7000-8000-000000000000"], "name": 1, "a/b~c": true
        }))
        .unwrap_err();
        let places: Vec<(&str, &str)> = faults
            .iter()
            .map(|fault| (fault.pointer.as_str(), fault.code))
            .collect();
        assert_eq!(places.len(), 4, "{places:?}");
        for expected in [
            ("/ids/0", "invalid_id"),
            ("/ids/1", "wrong_type"),
            ("/name", "wrong_type"),
            ("/a~1b~0c", "unknown_field"),
        ] {
            assert!(places.contains(&expected), "{places:?}");
        }
        let missing = parse::<Sample>(json!({})).unwrap_err();
        assert_eq!(
            (missing[0].pointer.as_str(), missing[0].code),
            ("/ids", "required")
        );
    }

    #[test]
    fn a_merge_patch_tells_absent_from_null() {
        let read = |body| parse::<Sample>(body).unwrap().name;
        assert!(matches!(read(json!({"ids": []})), Patch::Keep));
        assert!(matches!(
            read(json!({"ids": [], "name": null})),
            Patch::Clear
        ));
        assert!(matches!(read(json!({"ids": [], "name": "x"})), Patch::Set(name) if name == "x"));
    }

    #[test]
    fn a_hundred_faults_are_enough() {
        let ids = vec!["bad"; 5_000];
        assert_eq!(
            parse::<Sample>(json!({ "ids": ids })).unwrap_err().len(),
            MOST_FAULTS
        );
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(line("  Zoe\u{308}  ", 10).unwrap(), "Zoë");
        for (text, code) in [
            ("", "empty"),
            (" \t ", "empty"),
            ("a\r\nBcc: x", "control_character"),
            ("a\u{0}", "control_character"),
            ("a\u{202E}b", "control_character"),
            ("a\u{2028}b", "control_character"),
            ("aaaaaaaaaaa", "too_long"),
        ] {
            assert_eq!(line(text, 10).unwrap_err().code, code, "{text:?}");
        }
    }
}
