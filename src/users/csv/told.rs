//! What a person is told of a file beside its faults: what its columns became, and what to look at again. Pure.

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

use super::Shown;

/// What became of a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ImportColumn)]
pub struct ColumnTold {
    /// As the header has it.
    #[schema(examples("Vorname"))]
    pub name: String,
    /// A field of a user, `last_name,first_name`, or `attributes.` and a name; `null`: it is left out.
    #[schema(required, examples("first_name"))]
    pub becomes: Option<String>,
}

/// What to look at again; nothing was refused for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = ImportWarning)]
pub struct Warning {
    /// For programs: `no_name_column`, `looks_like`, `password_like_column`, `not_invited`, or another one.
    #[schema(value_type = String, examples("looks_like"))]
    pub code: &'static str,
    /// For people.
    pub detail: String,
}

impl Warning {
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}

/// For a terminal.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Shown(&self.detail))
    }
}

/// For a terminal.
impl fmt::Display for ColumnTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let becomes = self.becomes.as_deref().unwrap_or("(left out)");
        write!(f, "{} -> {}", Shown(&self.name), Shown(becomes))
    }
}
