//! What a caller says that columns are: the object in `?columns=`. Pure.

use std::fmt;

use deserr::{Deserr, IntoValue, ValuePointerRef};
use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::Value;

use super::{
    known::{ATTRIBUTE, Column, Known},
    passwords::check_name,
};
use crate::{
    model::wire::{Faults, Flaw, parse_text},
    users::attributes::attribute_name,
};

/// More columns than a file may have.
const MOST: usize = 500;

/// What a caller says that columns are.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ColumnMap(Vec<(String, Column)>);

impl ColumnMap {
    /// Reads a JSON object: each column's name, and what it is.
    ///
    /// # Errors
    /// Every flaw, with the column that it is about, or with none.
    pub fn parse(text: &str) -> Result<Self, Vec<(Option<String>, Flaw)>> {
        let Ok(Members(members)) = serde_json::from_str(text) else {
            let flaw = Flaw::new(
                "invalid_columns",
                r#"must be a JSON object of columns and what they are, as {"Work mail": "email", "Notes": null}"#,
            );
            return Err(vec![(None, flaw)]);
        };
        if members.len() > MOST {
            let flaw = Flaw::new("too_many", format!("at most {MOST} columns are allowed"));
            return Err(vec![(None, flaw)]);
        }
        let (mut columns, mut flaws) = (Vec::<(String, Column)>::new(), Vec::new());
        for (name, value) in members {
            let name = name.trim().to_owned();
            match target(&value) {
                Err(flaw) => flaws.push((Some(name), flaw)),
                Ok(_) if columns.iter().any(|(other, _)| *other == name) => {
                    flaws.push((Some(name), Flaw::new("repeated", "is given more than once")));
                }
                Ok(column) => columns.push((name, column)),
            }
        }
        if flaws.is_empty() {
            columns.sort_by(|one, other| one.0.cmp(&other.0));
            Ok(Self(columns))
        } else {
            Err(flaws)
        }
    }

    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&str, &Column)> {
        self.0.iter().map(|(name, column)| (name.as_str(), column))
    }
}

/// In one spelling, whatever order and blanks it was given in.
impl fmt::Display for ColumnMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members = self.0.iter();
        let object: serde_json::Map<String, Value> = members
            .map(|(name, column)| {
                let becomes = (*column != Column::Left).then(|| column.to_string());
                (name.clone(), Value::from(becomes))
            })
            .collect();
        write!(f, "{}", Value::Object(object))
    }
}

impl Deserr<Faults> for ColumnMap {
    fn deserialize_from_value<V: IntoValue>(
        value: deserr::Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        let mut text = String::new();
        parse_text(value, location, |given| {
            text.push_str(given);
            Ok(())
        })?;
        Self::parse(&text).map_err(|flaws| {
            let mut faults = Faults::default();
            for (column, flaw) in flaws {
                let place = match &column {
                    Some(name) => location.push_key(name),
                    None => location,
                };
                faults.0.extend(Faults::at(place, flaw.code, flaw.detail).0);
            }
            faults
        })
    }
}

/// What a column is to be.
fn target(value: &Value) -> Result<Column, Flaw> {
    let name = match value {
        Value::Null => return Ok(Column::Left),
        Value::String(name) => name.trim(),
        _ => {
            return Err(Flaw::new(
                "wrong_type",
                "expected the name of a field or null",
            ));
        }
    };
    if let Some(attribute) = name.strip_prefix(ATTRIBUTE) {
        let attribute = attribute_name(attribute)?;
        check_name(&attribute)?;
        return Ok(Column::Attribute(attribute));
    }
    if name == Column::FamilyGiven.to_string() {
        return Ok(Column::FamilyGiven);
    }
    Known::from_name(name).map(Column::Known).ok_or_else(|| {
        let known: Vec<&str> = Known::ALL.iter().map(|known| known.as_str()).collect();
        Flaw::new(
            "unknown_value",
            format!(
                "is to be something that there is not; known: {}, `{}`, `{ATTRIBUTE}<name>`, and null for a column \
                 that is left out",
                known.join(", "),
                Column::FamilyGiven
            ),
        )
    })
}

/// The members of an object in their order, also those that are there twice.
struct Members(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Each)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_says_what_columns_are() {
        let text = r#"{"Work mail":"email"," Notes ":null,"Abt":"attributes.Dept","Name":"last_name,first_name"}"#;
        let map = ColumnMap::parse(text).unwrap();
        assert_eq!(
            map.to_string(),
            r#"{"Abt":"attributes.Dept","Name":"last_name,first_name","Notes":null,"Work mail":"email"}"#
        );
        assert!(ColumnMap::parse("{}").unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_with_it_is_told_where_it_is() {
        for (text, column, code) in [
            ("", None, "invalid_columns"),
            ("[]", None, "invalid_columns"),
            ("{\"a\":", None, "invalid_columns"),
            (r#"{"a":"mail"}"#, Some("a"), "unknown_value"),
            (r#"{"a":"id"}"#, Some("a"), "unknown_value"),
            (r#"{"a":1}"#, Some("a"), "wrong_type"),
            (r#"{"a":null,"a":"email"}"#, Some("a"), "repeated"),
            (r#"{"a":"attributes."}"#, Some("a"), "empty"),
            (
                r#"{"a":"attributes.Kennwort"}"#,
                Some("a"),
                "password_like_attribute",
            ),
        ] {
            let flaws = ColumnMap::parse(text).unwrap_err();
            let (name, flaw) = &flaws[0];
            assert_eq!((name.as_deref(), flaw.code), (column, code), "{text}");
        }
        let flaws = ColumnMap::parse(r#"{"a":"mail","b":"e-mail"}"#).unwrap_err();
        assert_eq!(flaws.len(), 2);
        assert!(flaws[0].1.detail.contains("username, email, first_name"));
    }
}
