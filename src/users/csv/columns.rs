//! The columns of a file of users: what the file calls them, and what each becomes. Pure.

use std::{collections::HashMap, str};

use super::{
    LineFault, Row,
    assign::assign,
    folded::Folded,
    known::{ATTRIBUTE, is_status},
    mapping::ColumnMap,
    passwords::is_password,
    synonyms::{field_of, is_bare_name, is_family_given},
    told::{ColumnTold, Warning},
};
use crate::{http::csv::unescaped, model::wire::Flaw};

pub use super::known::{Column, Known, PASSWORD, PROFILE, STATUS};

/// The header of an attribute's column. What would be taken for a field has a mark in front.
pub fn of_attribute(name: &str) -> String {
    let folded = Folded::of(name);
    let is_another = Known::of_key(&folded.whole).is_some()
        || is_status(&folded.whole)
        || field_of(&folded).is_some()
        || is_bare_name(folded.bare())
        || is_family_given(name)
        || is_password(name)
        || name.starts_with(ATTRIBUTE);
    if is_another {
        format!("{ATTRIBUTE}{name}")
    } else {
        name.to_owned()
    }
}

/// What a file calls the columns that are fields of a user: faults name them as it does.
#[derive(Debug, Clone, Default)]
pub struct Names(HashMap<Known, String>);

impl Names {
    /// The column of a field; where the file has no header, the field's own name.
    pub fn of<'a>(&'a self, field: &'a str) -> &'a str {
        let known = Known::from_name(field).and_then(|known| self.0.get(&known));
        known.map_or(field, String::as_str)
    }

    /// The column of a field, if the file has one that is called so.
    pub fn column_of(&self, field: &str) -> Option<&str> {
        let known = Known::from_name(field)?;
        self.0.get(&known).map(String::as_str)
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
    warnings: Vec<Warning>,
}

impl Columns {
    /// Reads the header.
    ///
    /// # Errors
    /// Every column that is wrong; that nobody could be known by.
    pub(super) fn parse<'a>(
        number: u32,
        fields: impl Iterator<Item = &'a [u8]>,
        asked: &ColumnMap,
    ) -> Result<Self, Vec<LineFault>> {
        let names: Result<Vec<String>, _> = fields.map(str::from_utf8).map(read).collect();
        let Ok(names) = names else {
            return Err(vec![LineFault::of_record(number, not_utf8())]);
        };
        let shown: Vec<String> = (1..).zip(&names).map(shown).collect();
        let assigned = assign(&names, &shown, asked).map_err(|flaws| {
            let faults = flaws.into_iter().map(|(column, flaw)| match column {
                Some(name) => LineFault::of_cell(number, &name, flaw),
                None => LineFault::of_record(number, flaw),
            });
            faults.collect::<Vec<_>>()
        })?;
        Ok(Self {
            columns: assigned.columns,
            names: shown,
            warnings: assigned.warnings,
        })
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

    /// Takes nothing from a column.
    pub(super) fn leave(&mut self, index: usize) {
        self.columns[index] = Column::Left;
    }

    pub(super) fn has_passwords(&self) -> bool {
        self.columns.contains(&Column::Known(Known::Password))
    }

    pub(super) fn names(&self) -> Names {
        Names(
            self.named()
                .filter_map(|(column, name)| match column {
                    Column::Known(known) => Some((*known, name.to_owned())),
                    _ => None,
                })
                .collect(),
        )
    }

    /// What became of each.
    pub(super) fn told(&self) -> Vec<ColumnTold> {
        self.named()
            .map(|(column, name)| ColumnTold {
                name: name.to_owned(),
                becomes: match column {
                    Column::Left | Column::Nameless => None,
                    named => Some(named.to_string()),
                },
            })
            .collect()
    }

    pub(super) fn warnings(&self) -> &[Warning] {
        &self.warnings
    }
}

/// A column's name; one that a spreadsheet broke into lines has blanks there.
fn read(text: Result<&str, str::Utf8Error>) -> Result<String, str::Utf8Error> {
    let text = unescaped(text?);
    let lines = text.split(['\r', '\n']).map(str::trim);
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    Ok(lines.join(" "))
}

pub(super) fn not_utf8() -> Flaw {
    Flaw::new(
        "not_utf8",
        "holds bytes that are no text in the file's encoding; save the file as CSV UTF-8",
    )
}

/// A column's name as a fault shows it: never long. One without a name goes by its place, from 1.
fn shown((place, name): (usize, &String)) -> String {
    match name.as_str() {
        "" => format!("column {place}"),
        name => name.chars().take(100).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_on_two_lines_is_one_with_a_blank() {
        for (name, becomes) in [
            ("Personal-\nnummer", "attributes.Personal- nummer"),
            ("Hire\r\ndate", "attributes.Hire date"),
            ("attributes.a \n b\n", "attributes.a b"),
            ("First\nname", "first_name"),
        ] {
            let fields = ["email", name].map(str::as_bytes).into_iter();
            let columns = Columns::parse(1, fields, &ColumnMap::default()).unwrap();
            assert_eq!(columns.columns[1].to_string(), becomes);
        }
    }

    #[test]
    fn attributes_named_as_columns_keep_their_names() {
        for name in ["floor", "Abteilung", "Private E-Mail", "department"] {
            assert_eq!(of_attribute(name), name);
        }
        for name in [
            "email",
            "E-Mail",
            "id",
            "attributes.x",
            "Vorname",
            "Name",
            "mail",
            "E-Mail (work)",
            "Nachname, Vorname",
            "Kennwort",
        ] {
            assert_eq!(of_attribute(name), format!("attributes.{name}"));
        }
    }
}
