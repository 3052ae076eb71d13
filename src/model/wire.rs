//! How JSON becomes types: every fault is collected, with its pointer, before anything is done. Pure.
//!
//! Values are parsed into types here, at the edge; inside, nothing is checked twice.

use deserr::{DeserializeError, Deserr, ErrorKind, IntoValue, Value, ValueKind, ValuePointerRef};
use uuid::Uuid;

pub use super::{
    fault::{Fault, Faults, MOST_FAULTS},
    text::{Flaw, breaks_a_line, check_length, is_direction_override, line, without_addresses},
};

/// Parses a whole body.
///
/// # Errors
/// Every fault in it.
pub fn parse<T: Deserr<Faults>>(value: serde_json::Value) -> Result<T, Vec<Fault>> {
    deserr::deserialize(value).map_err(|faults: Faults| faults.0)
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
}
