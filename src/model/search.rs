//! Words that are searched for. Pure.

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use serde::Serialize;

use super::wire::{Faults, line, parse_text};

/// A part of a username, an address or a name: up to 200 characters.
#[derive(Debug, Clone, Serialize)]
pub struct SearchText(String);

impl SearchText {
    /// The text as it was typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deserr<Faults> for SearchText {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        parse_text(value, location, |text| {
            if text.trim().is_empty() {
                Ok(Self(String::new()))
            } else {
                line(text, 200).map(Self)
            }
        })
    }
}
