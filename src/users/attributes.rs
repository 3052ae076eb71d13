//! Custom attributes: which names and values they may have. Pure.

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use serde_json::Map;

use crate::model::wire::{Faults, Flaw, check_length, line};

/// Custom attributes, usable in templates: up to 50 names, each with a string, number or boolean.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Attributes(pub Map<String, serde_json::Value>);

/// A change of attributes: `null` takes one away (RFC 7396 works member by member).
#[derive(Debug)]
pub struct AttributesPatch(pub(super) Map<String, serde_json::Value>);

/// As many attributes as a user may have.
pub const MOST_ATTRIBUTES: usize = 50;

/// Whether this can be an attribute.
///
/// # Errors
/// `wrong_type`, `too_long` or `control_character`.
pub fn check_attribute(value: &serde_json::Value) -> Result<(), Flaw> {
    match value {
        serde_json::Value::String(text) if text.contains('\0') => {
            Err(Flaw::new("control_character", "must not hold NUL"))
        }
        serde_json::Value::String(text) => check_length(text, 1_000),
        serde_json::Value::Number(_) | serde_json::Value::Bool(_) => Ok(()),
        _ => Err(Flaw::new(
            "wrong_type",
            "expected a string, a number or a boolean",
        )),
    }
}

/// The name of an attribute: one line of 1 to 100 characters.
///
/// # Errors
/// As [`line`], with words that fit.
pub fn attribute_name(name: &str) -> Result<String, Flaw> {
    line(name, 100)
        .map_err(|flaw| Flaw::new(flaw.code, format!("the attribute's name {}", flaw.detail)))
}

fn attributes<V: IntoValue>(
    value: Value<V>,
    location: ValuePointerRef,
    null_is_fine: bool,
) -> Result<Map<String, serde_json::Value>, Faults> {
    let members = <std::collections::BTreeMap<String, serde_json::Value> as Deserr<Faults>>::deserialize_from_value(
        value, location,
    )?;
    let mut faults = Faults::default();
    if members.len() > MOST_ATTRIBUTES {
        return Err(Faults::at(
            location,
            "too_many",
            format!("at most {MOST_ATTRIBUTES} attributes are allowed"),
        ));
    }
    let mut named = Map::new();
    for (name, value) in members {
        let place = location.push_key(&name);
        let checked = attribute_name(&name);
        let flaws = [
            checked.as_ref().err().cloned(),
            (!value.is_null() || !null_is_fine)
                .then(|| check_attribute(&value).err())
                .flatten(),
        ];
        for flaw in flaws.into_iter().flatten() {
            faults.0.extend(Faults::at(place, flaw.code, flaw.detail).0);
        }
        if let Ok(name) = checked {
            named.insert(name, value);
        }
    }
    if faults.0.is_empty() {
        Ok(named)
    } else {
        Err(faults)
    }
}

impl Deserr<Faults> for Attributes {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        attributes(value, location, false).map(Self)
    }
}

impl Deserr<Faults> for AttributesPatch {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        attributes(value, location, true).map(Self)
    }
}
