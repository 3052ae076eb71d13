//! JSON as it is sent: the encoding, how much there is of it, and the members of an object that are there twice. Pure.
//!
//! `serde_json` keeps the last of two members of one name and says nothing; another reader on the way may have taken the
//! first (RFC 8259 §4).

use std::fmt;

use deserr::ValuePointerRef;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value, map::Entry};

use crate::model::wire::{Fault, Faults, MOST_FAULTS};

const BOM: &[u8] = "\u{feff}".as_bytes();

/// Arrays and objects that may stand in each other; what any route takes is a fraction of it.
const DEEPEST: usize = 32;

/// Reads a body, with a byte-order mark or without, that has at most so many members and elements. Gives the value and every
/// member that is there twice.
///
/// # Errors
/// What it is instead, in words.
pub fn read(body: &[u8], most: usize) -> Result<(Value, Vec<Fault>), String> {
    let body = body.strip_prefix(BOM).unwrap_or(body);
    if let Some(encoding) = wide(body) {
        return Err(format!("The body is in {encoding}; send it in UTF-8."));
    }
    let text = std::str::from_utf8(body).map_err(|error| {
        format!(
            "The body is not in UTF-8 (from byte {} on), but in an older encoding or damaged; send it in UTF-8.",
            error.valid_up_to()
        )
    })?;
    let mut seen = Seen {
        faults: Faults::default(),
        left: most,
        too_much: None,
    };
    let mut reader = serde_json::Deserializer::from_str(text);
    let whole = Node {
        place: ValuePointerRef::Origin,
        depth: 0,
        seen: &mut seen,
    };
    let value = whole
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value));
    let value = value.map_err(|error| match seen.too_much {
        Some(TooMuch::Deep) => format!(
            "The body has more than {DEEPEST} arrays and objects in each other; nothing here takes as many."
        ),
        Some(TooMuch::Many) => format!(
            "The body has more than {most} members and elements in all, which is the limit here; send it in parts."
        ),
        None => format!("The body is not JSON: {error}."),
    })?;
    Ok((value, seen.faults.0))
}

/// An encoding with more than one byte for every character. JSON begins with a character of ASCII, so its zeros show which.
fn wide(body: &[u8]) -> Option<&'static str> {
    match body {
        [0xFF, 0xFE, 0, 0, ..] | [1..=0xFF, 0, 0, 0, ..] => Some("UTF-32 (little-endian)"),
        [0, 0, 0xFE, 0xFF, ..] | [0, 0, 0, 1..=0xFF, ..] => Some("UTF-32 (big-endian)"),
        [0xFF, 0xFE, ..] | [1..=0xFF, 0, ..] => Some("UTF-16 (little-endian)"),
        [0xFE, 0xFF, ..] | [0, 1..=0xFF, ..] => Some("UTF-16 (big-endian)"),
        _ => None,
    }
}

/// What is known of a body while it is read.
struct Seen {
    faults: Faults,
    /// How many members and elements there may still be.
    left: usize,
    too_much: Option<TooMuch>,
}

enum TooMuch {
    Deep,
    Many,
}

/// A value that is being read, and where it stands.
struct Node<'a> {
    place: ValuePointerRef<'a>,
    depth: usize,
    seen: &'a mut Seen,
}

impl Node<'_> {
    fn enter<E: Error>(&mut self) -> Result<(), E> {
        if self.depth == DEEPEST {
            self.seen.too_much = Some(TooMuch::Deep);
            return Err(E::custom("too deep"));
        }
        Ok(())
    }

    fn count<E: Error>(&mut self) -> Result<(), E> {
        match self.seen.left.checked_sub(1) {
            Some(left) => self.seen.left = left,
            None => {
                self.seen.too_much = Some(TooMuch::Many);
                return Err(E::custom("too many"));
            }
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut all = Vec::new();
        while let Some(item) = items.next_element_seed(Node {
            place: self.place.push_index(all.len()),
            depth: self.depth + 1,
            seen: self.seen,
        })? {
            self.count()?;
            all.push(item);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<Value, A::Error> {
        self.enter()?;
        let mut all = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            self.count()?;
            let value = members.next_value_seed(Node {
                place: self.place.push_key(&name),
                depth: self.depth + 1,
                seen: self.seen,
            })?;
            match all.entry(name) {
                Entry::Vacant(free) => {
                    free.insert(value);
                }
                Entry::Occupied(taken) if self.seen.faults.0.len() < MOST_FAULTS => {
                    let place = self.place.push_key(taken.key());
                    self.seen.faults.0.extend(
                        Faults::at(place, "repeated", "is there more than once in its object").0,
                    );
                }
                Entry::Occupied(_) => {}
            }
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: usize = 10_000;

    fn read(body: &[u8]) -> Result<(Value, Vec<Fault>), String> {
        super::read(body, MOST)
    }

    #[test]
    fn what_is_read_is_what_serde_json_reads() {
        for text in [
            "{}",
            "[]",
            "null",
            " true ",
            "-0",
            "-0.0",
            "18446744073709551615",
            "-9223372036854775808",
            "18446744073709551616",
            "0.1",
            "1e300",
            r#""a\u00e9\n\ud83d\ude00""#,
            r#"{"b": [1, {"a": null}, "x"], "a": {"c": false}, "": 1}"#,
        ] {
            let (value, faults) = read(text.as_bytes()).unwrap();
            assert_eq!(
                value,
                serde_json::from_str::<Value>(text).unwrap(),
                "{text}"
            );
            assert!(faults.is_empty(), "{text}: {faults:?}");
            let marked = format!("\u{feff}{text}");
            assert_eq!(
                read(marked.as_bytes()).unwrap(),
                (value, faults),
                "{text} with a mark"
            );
        }
    }

    #[test]
    fn a_member_that_is_there_twice_is_named_at_its_place() {
        for (text, places) in [
            (r#"{"a": 1, "a": 1}"#, vec!["/a"]),
            (r#"{"a": 1, "a": 2, "a": 3}"#, vec!["/a", "/a"]),
            (r#"{"a": 1, "\u0061": 2}"#, vec!["/a"]),
            (r#"{"a": {"b": 1, "b": 2}}"#, vec!["/a/b"]),
            (r#"[{"b": 1}, {"b": 1, "b": 2}]"#, vec!["/1/b"]),
            (r#"{"a": [0, {"b": {"c": [], "c": {}}}]}"#, vec!["/a/1/b/c"]),
            (r#"{"x/y~": 1, "x/y~": 2}"#, vec!["/x~1y~0"]),
            (r#"{"": 1, "": 2}"#, vec!["/"]),
            (
                r#"{"a": {"b": 1, "b": 2}, "a": {"c": 1, "c": 2}}"#,
                vec!["/a/b", "/a/c", "/a"],
            ),
            (r#"{"a": 1, "A": 2, "á": 3, "a\u0301": 4}"#, vec![]),
            (r#"[{"a": 1}, {"a": 2}]"#, vec![]),
        ] {
            let faults = read(text.as_bytes()).unwrap().1;
            let found: Vec<&str> = faults.iter().map(|fault| fault.pointer.as_str()).collect();
            assert_eq!(found, places, "{text}");
            assert!(faults.iter().all(|fault| fault.code == "repeated"));
        }
        let many = format!("{{{}}}", vec![r#""a": 1"#; 5_000].join(","));
        assert_eq!(read(many.as_bytes()).unwrap().1.len(), MOST_FAULTS);
    }

    #[test]
    fn what_is_not_utf_8_is_named() {
        let text = "{\"first_name\": \"Zoë\"}";
        let utf_16: Vec<u16> = text.encode_utf16().collect();
        let in_16 = |bytes: fn(u16) -> [u8; 2]| -> Vec<u8> {
            utf_16.iter().flat_map(|unit| bytes(*unit)).collect()
        };
        let in_32 = |bytes: fn(u32) -> [u8; 4]| -> Vec<u8> {
            text.chars().flat_map(|c| bytes(c.into())).collect()
        };
        let (le, be) = (in_16(u16::to_le_bytes), in_16(u16::to_be_bytes));
        for (body, word) in [
            (le.clone(), "UTF-16 (little-endian)"),
            (be.clone(), "UTF-16 (big-endian)"),
            ([vec![0xFF, 0xFE], le].concat(), "UTF-16 (little-endian)"),
            ([vec![0xFE, 0xFF], be].concat(), "UTF-16 (big-endian)"),
            (in_32(u32::to_le_bytes), "UTF-32 (little-endian)"),
            (in_32(u32::to_be_bytes), "UTF-32 (big-endian)"),
            (
                [vec![0xFF, 0xFE, 0, 0], in_32(u32::to_le_bytes)].concat(),
                "UTF-32 (little-endian)",
            ),
            (
                [vec![0, 0, 0xFE, 0xFF], in_32(u32::to_be_bytes)].concat(),
                "UTF-32 (big-endian)",
            ),
            (b"{\"first_name\": \"Zo\xEB\"}".to_vec(), "from byte 18 on"),
            (b"\"\xFF\"".to_vec(), "from byte 1 on"),
            (b"\xED\xA0\x80".to_vec(), "from byte 0 on"),
        ] {
            let error = read(&body).unwrap_err();
            assert!(
                error.contains(word) && error.contains("send it in UTF-8"),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_no_json_is_refused() {
        for text in [
            "",
            " ",
            "{",
            "{} x",
            "nul",
            "{'a': 1}",
            "[1,]",
            "1e400",
            "\u{feff}",
            "\u{feff}\u{feff}{}",
            "\"\\ud800\"",
        ] {
            let error = read(text.as_bytes()).unwrap_err();
            assert!(error.starts_with("The body is not JSON: "), "{error}");
        }
    }

    #[test]
    fn how_deep_and_how_much_it_may_be_is_limited() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        let object = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        let row = |count: usize| format!("[{}]", vec!["1"; count].join(","));
        let members = |count: usize| {
            let members: Vec<String> = (0..count).map(|n| format!("\"{n}\":1")).collect();
            format!("{{{}}}", members.join(","))
        };
        let pairs = |count: usize| format!("[{}]", vec!["[1]"; count].join(","));
        for (text, is_read) in [
            (nested(DEEPEST), true),
            (nested(DEEPEST + 1), false),
            ("[".repeat(100_000), false),
            (object(DEEPEST), true),
            (object(DEEPEST + 1), false),
            ("{\"a\":".repeat(200), false),
            (row(MOST), true),
            (row(MOST + 1), false),
            (members(MOST), true),
            (members(MOST + 1), false),
            (pairs(MOST / 2), true),
            (pairs(MOST / 2 + 1), false),
        ] {
            let start: String = text.chars().take(20).collect();
            let refused = read(text.as_bytes()).err();
            assert_eq!(refused.is_none(), is_read, "{start}: {refused:?}");
            assert!(refused.is_none_or(|told| told.starts_with("The body has more than")));
        }
    }
}
