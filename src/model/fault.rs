//! What is wrong with a body or a query: every fault, each with its place. Pure.

use std::{convert::Infallible, ops::ControlFlow};

use deserr::{DeserializeError, ErrorKind, IntoValue, MergeWithError, ValueKind, ValuePointerRef};
use serde::Serialize;
use utoipa::ToSchema;

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

/// More faults than anybody reads; a selection of 100,000 bad ids must not become a book.
pub const MOST_FAULTS: usize = 100;

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

    /// The value of a part, or its faults among the others'.
    pub fn keep<T>(&mut self, part: Result<T, Self>) -> Option<T> {
        part.map_err(|faults| self.0.extend(faults.0)).ok()
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

/// Keeps `Infallible` conversions of the derive quiet.
impl From<Infallible> for Faults {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_hundred_faults_are_enough() {
        let names = vec![0; 5_000];
        let read = deserr::deserialize::<Vec<String>, _, Faults>(json!(names));
        assert_eq!(read.unwrap_err().0.len(), MOST_FAULTS);
    }
}
