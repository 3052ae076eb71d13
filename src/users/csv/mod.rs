//! Users as lines of text: what a table (CSV, a workbook), or a pasted list of addresses, says about each. Pure.

pub mod addresses;
mod archive;
mod assign;
pub mod cells;
pub mod columns;
pub mod decoding;
pub mod delimiter;
mod example;
mod folded;
mod foreign;
mod header;
mod known;
mod likeness;
pub mod mapping;
mod outcome;
mod parts;
pub mod passwords;
pub mod records;
pub mod rows;
mod sheet;
mod stop;
mod swallowed;
pub mod synonyms;
mod text;
pub mod told;
pub mod workbook;
pub mod written;

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

use self::told::{Shown, in_shell};
use crate::{
    model::{secret_input::Password, wire::Flaw},
    users::domain::CreateUser,
};

/// One thing that is wrong with a file, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LineFault {
    /// The line on which the record begins, or its bad quote, from 1; the row of a sheet.
    pub line: u32,
    /// The column's name, as the header has it; `null` for the whole record.
    #[schema(required)]
    pub column: Option<String>,
    /// What is wrong, for programs.
    #[schema(value_type = String, examples("invalid_email"))]
    pub code: &'static str,
    /// What is wrong and what to do, for people.
    pub detail: String,
}

impl LineFault {
    /// A fault of a whole record.
    pub fn of_record(line: u32, flaw: Flaw) -> Self {
        Self {
            line,
            column: None,
            code: flaw.code,
            detail: flaw.detail,
        }
    }

    /// A fault of one cell.
    pub fn of_cell(line: u32, column: &str, flaw: Flaw) -> Self {
        Self {
            column: Some(column.to_owned()),
            ..Self::of_record(line, flaw)
        }
    }
}

/// For a terminal: what a file made up cannot move its cursor or rewrite what stands there.
impl fmt::Display for LineFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        if let Some(column) = &self.column {
            write!(f, ", {}", Shown(column))?;
        }
        write!(f, ": {}", Shown(&in_shell(&self.detail)))
    }
}

/// What one record says about a user: only what its cells hold.
#[derive(Debug, Clone)]
pub struct Row {
    /// The line on which it begins, from 1.
    pub line: u32,
    /// The user's fields; what no cell says is absent.
    pub user: CreateUser,
    /// The names of groups to join.
    pub groups: Vec<String>,
    /// Not hashed yet.
    pub password: Option<Password>,
}

impl Row {
    /// The username, which is the e-mail address unless given.
    pub fn username(&self) -> &str {
        let user = &self.user;
        user.username
            .as_ref()
            .map(|username| username.as_str())
            .or(self.email())
            .unwrap_or_default()
    }

    /// The e-mail address, if the record has one.
    pub fn email(&self) -> Option<&str> {
        self.user.email.as_ref().map(|email| email.as_str())
    }
}

/// One record of a file, read.
pub enum Line {
    User(Box<Row>),
    Faulty(Vec<LineFault>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_shows_nothing_that_a_terminal_obeys() {
        let flaw = Flaw::new("x", "no\rsuch\u{202E}thing\u{9B}2J");
        let told = LineFault::of_cell(2, "Größe\u{1B}[2J\n", flaw).to_string();
        assert_eq!(
            told,
            r"line 2, Größe\u{1b}[2J\n: no\rsuch\u{202e}thing\u{9b}2J"
        );
    }
}
