//! Custom attributes: which names and values they may have. Pure.

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use serde_json::Map;

use super::csv::passwords;
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

/// The largest whole number up to which all are exact for every reader of JSON: 2^53−1 (RFC 7493 §2.2).
const EXACT: u64 = (1 << 53) - 1;

/// Whether this can be an attribute as it was read from JSON.
///
/// # Errors
/// As [`check_attribute`], and `out_of_range` for a number of which only the nearest fraction is left: nobody can tell any more
/// which whole number it was.
fn check_member(value: &serde_json::Value) -> Result<(), Flaw> {
    let exact = EXACT as f64;
    match value {
        serde_json::Value::Number(number)
            if number.is_f64() && number.as_f64().is_some_and(|number| number.abs() > exact) =>
        {
            Err(Flaw::new(
                "out_of_range",
                format!("a number beyond ±{EXACT} loses digits in JSON: send it as a string"),
            ))
        }
        other => check_attribute(other),
    }
}

/// The attribute as it is kept: a number that other readers would round is text, digit for digit, and text has no
/// byte-order marks at its ends, which only files leave there.
pub(super) fn kept(value: serde_json::Value) -> serde_json::Value {
    let exact = EXACT as f64;
    match value {
        serde_json::Value::Number(number)
            if number.as_f64().is_some_and(|number| number.abs() > exact) =>
        {
            serde_json::Value::from(number.to_string())
        }
        serde_json::Value::String(text) => serde_json::Value::from(text.trim_matches('\u{FEFF}')),
        other => other,
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
        let mut flaws: Vec<Flaw> = checked.as_ref().err().cloned().into_iter().collect();
        // What is there from before can always be taken away.
        if !value.is_null() || !null_is_fine {
            flaws.extend(passwords::check_name(&name).err());
            flaws.extend(check_member(&value).err());
        }
        for flaw in flaws {
            faults.0.extend(Faults::at(place, flaw.code, flaw.detail).0);
        }
        if let Ok(name) = checked
            && named.insert(name, kept(value)).is_some()
        {
            let detail = "is given twice: blanks at the ends and the way an accent is typed make no other name of it";
            faults.0.extend(Faults::at(place, "repeated", detail).0);
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::model::wire;

    #[test]
    fn two_spellings_of_one_name_are_a_fault() {
        for members in [
            json!({"floor": 1, " floor": 2}),
            json!({"floor\u{FEFF}": 1, "floor": 1}),
            json!({"B\u{FC}ro": "1", "Bu\u{308}ro": "2"}),
            json!({"floor": null, "floor ": "x"}),
        ] {
            let code = |faults: Vec<wire::Fault>| faults.last().unwrap().code;
            let change = wire::parse::<AttributesPatch>(members.clone()).unwrap_err();
            assert_eq!(code(change), "repeated", "{members}");
            if !members.to_string().contains("null") {
                let all = wire::parse::<Attributes>(members.clone()).unwrap_err();
                assert_eq!(code(all), "repeated", "{members}");
            }
        }
    }

    #[test]
    fn a_whole_number_keeps_its_digits() {
        for (sent, kept) in [
            ("0", json!(0)),
            ("-7", json!(-7)),
            ("9007199254740991", json!(9_007_199_254_740_991_i64)),
            ("-9007199254740991", json!(-9_007_199_254_740_991_i64)),
            ("9007199254740992", json!("9007199254740992")),
            ("9007199254740993", json!("9007199254740993")),
            ("-9007199254740992", json!("-9007199254740992")),
            ("-9223372036854775808", json!("-9223372036854775808")),
            ("9223372036854775808", json!("9223372036854775808")),
            ("18446744073709551615", json!("18446744073709551615")),
            ("\"18446744073709551616\"", json!("18446744073709551616")),
            ("0.1", json!(0.1)),
            ("1e15", json!(1e15)),
            ("true", json!(true)),
        ] {
            let sent = serde_json::from_str(sent).unwrap();
            let members = Value::Object(Map::from_iter([("badge".to_owned(), sent)]));
            let read = wire::parse::<Attributes>(members.clone()).unwrap();
            assert_eq!(read.0["badge"], kept);
            let change = wire::parse::<AttributesPatch>(members).unwrap();
            assert_eq!(change.0["badge"], kept);
        }
        for sent in [
            "18446744073709551616",
            "-9223372036854775809",
            "12345678901234567890123",
            "1e300",
            "-1e17",
            "9007199254740993.0",
        ] {
            let sent: Value = serde_json::from_str(sent).unwrap();
            let faults = wire::parse::<Attributes>(json!({"badge": sent})).unwrap_err();
            assert_eq!(
                (faults[0].pointer.as_str(), faults[0].code),
                ("/badge", "out_of_range"),
                "{sent}"
            );
            assert!(faults[0].detail.contains("send it as a string"));
        }
    }
}
