//! The columns of a file of users: what they are called, and what a file's own header means by it. Pure.

use std::{collections::HashMap, str};

use super::{LineFault, Row};
use crate::{http::csv::unescaped, model::wire::Flaw, users::attributes::attribute_name};

/// The columns of the template and the first ones of an export, in this order.
pub const PROFILE: [&str; 10] = [
    "username",
    "email",
    "first_name",
    "last_name",
    "display_name",
    "locale",
    "time_zone",
    "managed_apple_account",
    "enabled",
    "groups",
];
/// Only ever imported.
pub const PASSWORD: &str = "password";
/// Only ever exported: an import passes over them.
pub const STATUS: [&str; 8] = [
    "id",
    "source",
    "has_password",
    "invite_status",
    "last_invited_at",
    "device_count",
    "created_at",
    "updated_at",
];
/// In front of an attribute whose name is a column's own.
const ATTRIBUTE: &str = "attributes.";

/// A column that is a field of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Known {
    Username,
    Email,
    FirstName,
    LastName,
    DisplayName,
    Locale,
    TimeZone,
    AppleAccount,
    Enabled,
    Groups,
    Password,
    /// Only ever exported.
    Passed,
}

impl Known {
    /// `First Name`, `first-name` and `FIRST_NAME` are the same.
    fn named(header: &str) -> Option<Self> {
        let name = header.trim().to_lowercase().replace([' ', '-'], "_");
        Some(match name.as_str() {
            "username" | "user_name" => Self::Username,
            "email" | "e_mail" | "email_address" | "e_mail_address" => Self::Email,
            "first_name" => Self::FirstName,
            "last_name" => Self::LastName,
            "display_name" => Self::DisplayName,
            "locale" => Self::Locale,
            "time_zone" => Self::TimeZone,
            "managed_apple_account" => Self::AppleAccount,
            "enabled" => Self::Enabled,
            "groups" => Self::Groups,
            PASSWORD => Self::Password,
            name if STATUS.contains(&name) => Self::Passed,
            _ => return None,
        })
    }
}

/// The header of an attribute's column.
pub fn of_attribute(name: &str) -> String {
    if Known::named(name).is_some() || name.starts_with(ATTRIBUTE) {
        format!("{ATTRIBUTE}{name}")
    } else {
        name.to_owned()
    }
}

#[derive(Debug, PartialEq, Eq, Hash, Clone)]
pub(super) enum Column {
    Known(Known),
    Attribute(String),
}

/// What a file calls the columns that are fields of a user: faults name them as it does.
#[derive(Debug, Clone, Default)]
pub struct Names(HashMap<Known, String>);

impl Names {
    /// The column of a field; where the file has no header, the field's own name.
    pub fn of<'a>(&'a self, field: &'a str) -> &'a str {
        let known = Known::named(field).and_then(|known| self.0.get(&known));
        known.map_or(field, String::as_str)
    }

    /// The column that a row has its username from: nobody wrote one where the address stands for it.
    pub fn of_username(&self, row: &Row) -> &str {
        match row.user.username {
            Some(_) => self.of("username"),
            None => self.of("email"),
        }
    }
}

/// The columns of a file, in its order.
#[derive(Debug)]
pub(super) struct Columns {
    columns: Vec<Column>,
    /// As the file names them, for faults.
    names: Vec<String>,
}

impl Columns {
    /// Reads the header.
    ///
    /// # Errors
    /// Every column that is wrong; that nobody could be known by.
    pub(super) fn parse<'a>(
        number: u32,
        fields: impl Iterator<Item = &'a [u8]>,
    ) -> Result<Self, Vec<LineFault>> {
        let mut faults = Vec::new();
        let mut seen: HashMap<Column, usize> = HashMap::new();
        let (mut columns, mut names) = (Vec::new(), Vec::new());
        for (index, field) in fields.enumerate() {
            let Ok(text) = str::from_utf8(field) else {
                return Err(vec![LineFault::of_record(number, not_utf8())]);
            };
            let name = unescaped(text);
            let name = name.trim();
            let mut refuse = |flaw| faults.push(LineFault::of_cell(number, &shown(name), flaw));
            let column = match Known::named(name) {
                Some(known) => Column::Known(known),
                None => match attribute_name(name.strip_prefix(ATTRIBUTE).unwrap_or(name)) {
                    Ok(attribute) => Column::Attribute(attribute),
                    Err(flaw) => {
                        let flaw = match name {
                            "" => Flaw::new("empty", format!("column {} has no name", index + 1)),
                            _ => flaw,
                        };
                        refuse(flaw);
                        continue;
                    }
                },
            };
            if column != Column::Known(Known::Passed)
                && let Some(first) = seen.insert(column.clone(), index)
            {
                refuse(Flaw::new(
                    "repeated_column",
                    format!("columns {} and {} mean the same", first + 1, index + 1),
                ));
            }
            columns.push(column);
            names.push(shown(name));
        }
        let is_there = |known| columns.contains(&Column::Known(known));
        if !is_there(Known::Username) && !is_there(Known::Email) {
            faults.push(LineFault::of_record(
                number,
                Flaw::new(
                    "missing_column",
                    "the first line must name the columns, and one of them must be `username` or `email`",
                ),
            ));
        }
        if faults.is_empty() {
            Ok(Self { columns, names })
        } else {
            Err(faults)
        }
    }

    pub(super) fn count(&self) -> usize {
        self.columns.len()
    }

    /// Each with what the file calls it.
    pub(super) fn named(&self) -> impl Iterator<Item = (&Column, &str)> {
        self.columns
            .iter()
            .zip(self.names.iter().map(String::as_str))
    }

    pub(super) fn has_passwords(&self) -> bool {
        self.columns.contains(&Column::Known(Known::Password))
    }

    pub(super) fn names(&self) -> Names {
        Names(
            self.named()
                .filter_map(|(column, name)| match column {
                    Column::Known(known) => Some((*known, name.to_owned())),
                    Column::Attribute(_) => None,
                })
                .collect(),
        )
    }
}

pub(super) fn not_utf8() -> Flaw {
    Flaw::new("not_utf8", "is not UTF-8; save the file as CSV UTF-8")
}

/// A column's name as a fault shows it: never long.
fn shown(name: &str) -> String {
    name.chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_named_as_columns_keep_their_names() {
        assert_eq!(of_attribute("floor"), "floor");
        for name in ["email", "E-Mail", "id", "attributes.x"] {
            assert_eq!(of_attribute(name), format!("attributes.{name}"));
        }
    }
}
