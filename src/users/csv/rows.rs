//! The users of a CSV file: what each record below the header says.

use std::{borrow::Cow, io::Read, str};

use super::{
    Line, LineFault, Row, cells,
    columns::{Column, Columns, Known, Names, not_utf8},
    example::is_example,
    mapping::ColumnMap,
    records::{Outcome, Records},
    told::{ColumnTold, Warning},
};
use crate::{
    groups::domain::GroupName,
    http::csv::unescaped,
    model::{
        identity::{AppleAccount, DisplayName, Email, LocaleTag, PersonName, TimeZone, Username},
        secret_input::Password,
        wire::Flaw,
    },
    users::{
        attributes::{Attributes, MOST_ATTRIBUTES, check_attribute, kept},
        domain::CreateUser,
    },
};

/// The users of a CSV file, one by one.
pub struct UserRecords<R> {
    records: Records<R>,
    columns: Columns,
}

impl<R: Read> UserRecords<R> {
    /// Reads the header. `asked` is what the caller says that columns are.
    ///
    /// # Errors
    /// When the source cannot be read; inside, what is wrong with the header.
    pub fn open(
        mut records: Records<R>,
        asked: &ColumnMap,
    ) -> std::io::Result<Result<Self, Vec<LineFault>>> {
        let flaw = match records.advance()? {
            Some(outcome) => outcome.flaw(),
            None => Some(Flaw::new(
                "empty_file",
                "the file is empty; its first line must name the columns",
            )),
        };
        if let Some(flaw) = flaw {
            return Ok(Err(vec![LineFault::of_record(records.line(), flaw)]));
        }
        Ok(Columns::parse(records.line(), records.fields(), asked)
            .map(|columns| Self { records, columns }))
    }

    /// Whether a column holds passwords.
    pub fn has_passwords(&self) -> bool {
        self.columns.has_passwords()
    }

    /// What the file calls its columns.
    pub fn names(&self) -> Names {
        self.columns.names()
    }

    /// What became of each column.
    pub fn told(&self) -> Vec<ColumnTold> {
        self.columns.told()
    }

    /// What to look at again in the header.
    pub fn warnings(&self) -> &[Warning] {
        self.columns.warnings()
    }

    /// Passes over a record that is neither blank nor the template's example; whether there was one.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn pass(&mut self) -> std::io::Result<bool> {
        while let Some(outcome) = self.records.advance()? {
            let fields: Vec<&[u8]> = self.records.fields().collect();
            if outcome != Outcome::Read || !says_nothing(&self.columns, &fields) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The next record that is neither blank nor the template's example.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn advance(&mut self) -> std::io::Result<Option<Line>> {
        while let Some(outcome) = self.records.advance()? {
            let number = self.records.line();
            if let Some(flaw) = outcome.flaw() {
                let fault = LineFault::of_record(number, flaw);
                return Ok(Some(Line::Faulty(vec![fault])));
            }
            if let Some(line) = row(&self.columns, number, self.records.fields()) {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }
}

/// Whether a record is of nobody: all its cells are empty, as spreadsheets leave at the end, or it is the template's
/// example.
fn says_nothing(columns: &Columns, fields: &[&[u8]]) -> bool {
    fields.iter().all(|field| field.trim_ascii().is_empty()) || is_example(columns, fields)
}

/// Reads a record; `None` for one of nobody.
fn row<'a>(columns: &Columns, number: u32, fields: impl Iterator<Item = &'a [u8]>) -> Option<Line> {
    let fields: Vec<&[u8]> = fields.collect();
    if says_nothing(columns, &fields) {
        return None;
    }
    // What it has less is empty.
    let (_, more) = fields.split_at_checked(columns.count()).unwrap_or_default();
    if more.iter().any(|field| !field.trim_ascii().is_empty()) {
        let flaw = Flaw::new(
            "wrong_column_count",
            format!(
                "has {}, but the header has {}; quote a cell that holds a separator",
                counted(fields.len(), "cell"),
                counted(columns.count(), "column")
            ),
        );
        return Some(Line::Faulty(vec![LineFault::of_record(number, flaw)]));
    }
    let mut reading = Reading {
        row: Row {
            line: number,
            user: CreateUser::default(),
            groups: Vec::new(),
            password: None,
        },
        attributes: Attributes::default(),
    };
    let mut faults = Vec::new();
    for ((column, name), field) in columns.named().zip(fields) {
        if field.is_empty() || *column == Column::Left {
            continue;
        }
        let read = str::from_utf8(field)
            .map_err(|_| not_utf8())
            .and_then(|cell| reading.take(column, cell));
        if let Err(flaw) = read {
            faults.push(LineFault::of_cell(number, name, flaw));
        }
    }
    let Reading {
        mut row,
        attributes,
    } = reading;
    if attributes.0.len() > MOST_ATTRIBUTES {
        let flaw = Flaw::new(
            "too_many",
            format!("at most {MOST_ATTRIBUTES} attributes are allowed"),
        );
        faults.push(LineFault::of_record(number, flaw));
    }
    if faults.is_empty() && row.username().is_empty() {
        let flaw = Flaw::new("required", "an e-mail address or a username is needed");
        faults.push(LineFault::of_record(number, flaw));
    }
    if !attributes.0.is_empty() {
        row.user.attributes = Some(attributes);
    }
    Some(if faults.is_empty() {
        Line::User(Box::new(row))
    } else {
        Line::Faulty(faults)
    })
}

/// A record while its cells are read.
struct Reading {
    row: Row,
    attributes: Attributes,
}

impl Reading {
    /// Takes one cell. A blank one says nothing; an attribute may be blank on purpose.
    fn take(&mut self, column: &Column, cell: &str) -> Result<(), Flaw> {
        // No export holds a password, so nothing was added to it.
        let cell = match column {
            Column::Known(Known::Password) => Cow::Borrowed(cell),
            _ => unescaped(cell),
        };
        let cell = &*cell;
        let known = match column {
            Column::Known(_) | Column::FamilyGiven if cell.trim().is_empty() => return Ok(()),
            Column::Known(known) => known,
            Column::Left => return Ok(()),
            Column::FamilyGiven => return self.take_name(cell),
            Column::Nameless if cell.trim().is_empty() => return Ok(()),
            Column::Nameless => {
                return Err(Flaw::new(
                    "nameless_column",
                    "stands in a column without a name; name the column or empty the cell",
                ));
            }
            Column::Attribute(name) => {
                let value = kept(cells::attribute(cell));
                check_attribute(&value)?;
                self.attributes.0.insert(name.clone(), value);
                return Ok(());
            }
        };
        let user = &mut self.row.user;
        match known {
            Known::Username => user.username = Some(Username::parse(cell)?),
            Known::Email => user.email = Some(Email::parse(cell)?),
            Known::FirstName => user.first_name = Some(PersonName::parse(cell)?),
            Known::LastName => user.last_name = Some(PersonName::parse(cell)?),
            Known::DisplayName => user.display_name = Some(DisplayName::parse(cell)?),
            Known::Locale => user.locale = Some(LocaleTag::parse(cell.trim())?),
            Known::TimeZone => user.time_zone = Some(TimeZone::parse(cell.trim())?),
            Known::AppleAccount => user.managed_apple_account = Some(AppleAccount::parse(cell)?),
            Known::Enabled => {
                let flaw = || Flaw::new("wrong_type", "must be true or false, yes or no");
                user.enabled = Some(cells::flag(cell).ok_or_else(flaw)?);
            }
            Known::Groups => {
                self.row.groups = cells::groups(cell)
                    .iter()
                    .map(|name| GroupName::parse(name).map(GroupName::into_string))
                    .collect::<Result<_, _>>()?;
            }
            Known::Password => self.row.password = Some(Password::parse(cell)?),
        }
        Ok(())
    }

    /// Takes `Lind, Asa`. Without a comma nobody knows which name it is: then it is the one that is shown.
    fn take_name(&mut self, cell: &str) -> Result<(), Flaw> {
        let user = &mut self.row.user;
        let Some((last, first)) = cell.split_once([',', '，', '、']) else {
            let name = DisplayName::parse(cell)?;
            user.display_name.get_or_insert(name);
            return Ok(());
        };
        for (name, field) in [(first, &mut user.first_name), (last, &mut user.last_name)] {
            if !name.trim().is_empty() {
                *field = Some(PersonName::parse(name)?);
            }
        }
        Ok(())
    }
}

/// `1 cell`, `2 cells`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
