//! What a person is told of a file beside its faults: what its columns became, and what to look at again. Pure.

use std::fmt::{self, Write};

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::known::{Column, Known};
use crate::model::wire::{Flaw, breaks_a_line};

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
    /// For programs: `no_name_column`, `looks_like`, `password_like_column`, `not_invited`,
    /// `names_look_alike`, `name_has_comma`, `group_looks_like_list`, or another one.
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

    /// What to say of a column with last and first names.
    pub fn last_and_first(column: &str) -> String {
        hint([(column, Column::FamilyGiven.to_string())])
    }
}

/// For a terminal.
impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", Shown(&in_shell(&self.detail)))
    }
}

/// For a terminal.
impl fmt::Display for ColumnTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let becomes = self.becomes.as_deref().unwrap_or("(left out)");
        write!(f, "{} -> {}", Shown(&self.name), Shown(becomes))
    }
}

/// A text on one line, with everything invisible written out.
pub struct Shown<'a>(pub &'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.chars().try_for_each(|c| {
            if breaks_a_line(c) {
                write!(f, "{}", c.escape_default())
            } else {
                f.write_char(c)
            }
        })
    }
}

/// A column is left out for its name.
pub(super) fn password_like(column: &str) -> Warning {
    let hint = columns_of([(column, Known::Password)]);
    Warning::new(
        "password_like_column",
        format!(
            "the column `{column}` is not stored, because it looks like a password; if it holds the passwords of the \
             users, say so with {hint}"
        ),
    )
}

/// A column is kept as an attribute, though it may be a field.
pub(super) fn looks_like(column: &str, field: Known) -> Warning {
    let hint = columns_of([(column, field)]);
    Warning::new(
        "looks_like",
        format!(
            "the column `{column}` looks like `{}`, but is kept as an attribute; if it is that, say so with {hint}",
            field.as_str()
        ),
    )
}

/// Several columns mean one field. `hint` is what to say.
pub(super) fn ambiguous<'a>(
    columns: impl Iterator<Item = &'a str>,
    field: Known,
    hint: &str,
) -> Flaw {
    let names: Vec<String> = columns.map(|name| format!("`{name}`")).collect();
    Flaw::new(
        "ambiguous_columns",
        format!(
            "the columns {} {} mean `{}`; say which one it is, as with {hint}, and the others become attributes",
            names.join(" and "),
            if names.len() == 2 { "both" } else { "all" },
            field.as_str()
        ),
    )
}

/// In front of what to say that columns are.
const COLUMNS: &str = "columns=";

/// What to say that columns are: ready for a URL, and to be read.
pub(super) fn columns_of<'a>(fields: impl IntoIterator<Item = (&'a str, Known)>) -> String {
    let fields = fields.into_iter();
    hint(fields.map(|(name, known)| (name, known.as_str().to_owned())))
}

fn hint<'a>(columns: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let columns = columns.into_iter();
    let object: Map<String, Value> = columns
        .map(|(name, becomes)| (name.to_owned(), Value::from(becomes)))
        .collect();
    let object = Value::Object(object).to_string();
    let in_url = utf8_percent_encode(&object, NON_ALPHANUMERIC);
    format!("{COLUMNS}{in_url} ({object})")
}

/// The same text with what [`columns_of`] gave as a shell takes it: `--columns '{"Mail":"email"}'`.
pub(super) fn in_shell(detail: &str) -> String {
    let mut text = String::new();
    let mut rest = detail;
    while let Some((before, after)) = rest.split_once(COLUMNS) {
        let in_url = after.split(' ').next().unwrap_or_default();
        let object = percent_decode_str(in_url).decode_utf8_lossy();
        text.push_str(before);
        match after[in_url.len()..].strip_prefix(&format!(" ({object})")) {
            Some(behind) if !in_url.is_empty() => {
                let quoted = object.replace('\'', r"'\''");
                text.push_str(&format!("--columns '{quoted}'"));
                rest = behind;
            }
            _ => {
                text.push_str(COLUMNS);
                rest = after;
            }
        }
    }
    text.push_str(rest);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_terminal_is_told_what_to_type() {
        for (name, typed) in [
            ("Mail", r#"--columns '{"Mail":"email"}'"#),
            ("E Mail (x)", r#"--columns '{"E Mail (x)":"email"}'"#),
            ("Nom d'x", r#"--columns '{"Nom d'\''x":"email"}'"#),
            ("メール", r#"--columns '{"メール":"email"}'"#),
        ] {
            let hint = columns_of([(name, Known::Email)]);
            assert!(hint.starts_with("columns=%7B"));
            let detail = format!("say so with {hint}, and again {hint}");
            let told = Warning::new("looks_like", detail).to_string();
            assert_eq!(told, format!("say so with {typed}, and again {typed}"));
        }
        for text in [
            "",
            "columns=",
            "columns= ()",
            "`columns=%7B (x` columns=%7B",
            "a columns",
        ] {
            assert_eq!(in_shell(text), text);
        }
    }
}
