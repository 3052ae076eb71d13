//! The users of a CSV file: what each record below the header says.

use std::{borrow::Cow, collections::BTreeMap, io::Read, iter, str};

use super::{
    Line, LineFault, Row, cells,
    columns::{Column, Columns, Known, Names, not_utf8},
    example::is_example,
    header,
    mapping::ColumnMap,
    passwords::is_password,
    records::{Outcome, Records},
    sheet::cell_name,
    swallowed::Looks,
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

/// Characters of a value that a fault shows.
const MOST_SHOWN: usize = 60;

/// The users of a CSV file, one by one.
pub struct UserRecords<R> {
    records: Records<R>,
    table: Table,
    /// Columns without a name that have something in them, each with the first line of that.
    nameless: BTreeMap<usize, u32>,
}

/// What is known of a table by its header.
struct Table {
    columns: Columns,
    warnings: Vec<Warning>,
    /// How a record looks, where a quote could have taken some in.
    looks: Option<Looks>,
    /// Whether faults show values: not beside passwords, which may stand in the wrong column.
    shows_values: bool,
}

impl Table {
    fn of(columns: Columns, warnings: Vec<Warning>, delimiter: Option<u8>) -> Self {
        let is_secret = |(column, name): (&Column, &str)| {
            *column == Column::Known(Known::Password) || is_password(name)
        };
        let is_told = |warning: &Warning| warning.code == "password_like_column";
        Self {
            looks: delimiter.and_then(|delimiter| Looks::of(&columns, delimiter)),
            shows_values: !columns.named().any(is_secret) && !warnings.iter().any(is_told),
            columns,
            warnings,
        }
    }
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
        let read = match flaw {
            Some(flaw) => Err(vec![LineFault::of_record(records.line(), flaw)]),
            None => header::read(&records, asked),
        };
        Ok(match read {
            Ok((columns, warnings)) => Ok(Self {
                table: Table::of(columns, warnings, records.delimiter()),
                records,
                nameless: BTreeMap::new(),
            }),
            Err(mut faults) => {
                header::explain(&mut faults, &mut records, asked)?;
                Err(faults)
            }
        })
    }

    /// Whether a column holds passwords.
    pub fn has_passwords(&self) -> bool {
        self.table.columns.has_passwords()
    }

    /// What the file calls its columns.
    pub fn names(&self) -> Names {
        self.table.columns.names()
    }

    /// What became of each column.
    pub fn told(&self) -> Vec<ColumnTold> {
        self.table.columns.told()
    }

    /// What to look at again in the header, and in the columns without a name as far as they were passed.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = self.table.warnings.clone();
        if let Some(line) = self.nameless.values().min() {
            let places: Vec<String> = self.nameless.keys().map(usize::to_string).collect();
            let detail = format!(
                "what stands in columns without a name is left out: column {}, first on line {line}; give them names to \
                 keep it",
                places.join(", ")
            );
            warnings.push(Warning::new("nameless_column", detail));
        }
        warnings
    }

    /// Passes over a record that is neither blank nor the template's example; whether there was one.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn pass(&mut self) -> std::io::Result<bool> {
        while let Some(outcome) = self.records.advance()? {
            if outcome != Outcome::Read {
                return Ok(true);
            }
            if says_nothing(&self.table.columns, &self.records) {
                continue;
            }
            let fields = self.table.columns.named().zip(self.records.fields());
            for (place, ((column, _), field)) in (1..).zip(fields) {
                if *column == Column::Nameless && !field.trim_ascii().is_empty() {
                    let line = self.records.line();
                    self.nameless.entry(place).or_insert(line);
                }
            }
            return Ok(true);
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
            if let Some(line) = row(&self.table, &self.records) {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }
}

/// Whether a record is of nobody: all its cells are empty, as spreadsheets leave at the end, or it is the template's
/// example.
fn says_nothing<R: Read>(columns: &Columns, records: &Records<R>) -> bool {
    let fields: Vec<&[u8]> = records.fields().collect();
    let columns_of_all = columns.named().map(|(column, _)| Some(column));
    let mut all = columns_of_all
        .chain(iter::repeat(None))
        .zip(&fields)
        .enumerate();
    // Formulas are filled down further than people.
    let is_blank = |(index, (column, field)): (usize, (Option<&Column>, &&[u8]))| {
        let is_left = column == Some(&Column::Left);
        field.trim_ascii().is_empty() || is_left && records.no_value(index, field).is_some()
    };
    all.all(is_blank) || is_example(columns, &fields)
}

/// Reads a record; `None` for one of nobody.
fn row<R: Read>(table: &Table, records: &Records<R>) -> Option<Line> {
    let columns = &table.columns;
    if says_nothing(columns, records) {
        return None;
    }
    let number = records.line();
    let fields: Vec<&[u8]> = records.fields().collect();
    let swallowed = table.looks.as_ref();
    if let Some((line, flaw)) = swallowed.and_then(|looks| looks.swallowed(number, &fields)) {
        return Some(Line::Faulty(vec![LineFault::of_record(line, flaw)]));
    }
    // What it has less is empty.
    let (_, more) = fields.split_at_checked(columns.count()).unwrap_or_default();
    if let Some(place) = more.iter().position(|field| !field.trim_ascii().is_empty()) {
        let header = counted(columns.count(), "column");
        let detail = match records.of_sheet() {
            Some(_) => format!(
                "{} holds something, but the header has {header}; name its column, or empty the cell",
                cell_name(number, columns.count() + place)
            ),
            None => format!(
                "has {}, but the header has {header}; quote a cell that holds a separator",
                counted(fields.len(), "cell")
            ),
        };
        let flaw = Flaw::new("wrong_column_count", detail);
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
    for (index, ((column, name), field)) in columns.named().zip(fields).enumerate() {
        if field.is_empty() || *column == Column::Left {
            continue;
        }
        if let Some(flaw) = records.no_value(index, field) {
            faults.push(LineFault::of_cell(number, name, flaw));
            continue;
        }
        let read = str::from_utf8(field)
            .map_err(|_| not_utf8())
            .and_then(|cell| {
                let taken = reading.take(column, cell, records.is_text(index));
                taken.map_err(|flaw| {
                    if table.shows_values {
                        quoting(flaw, cell)
                    } else {
                        flaw
                    }
                })
            });
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
    fn take(&mut self, column: &Column, cell: &str, says_text: bool) -> Result<(), Flaw> {
        let (is_text, cell) = match (column, cells::guarded(cell)) {
            // No export holds a password, so nothing was added to it.
            (Column::Known(Known::Password), _) => (false, Cow::Borrowed(cell)),
            (_, Some(text)) => (true, Cow::Owned(text)),
            (_, None) => (false, unescaped(cell)),
        };
        let cell = &*cell;
        let known = match column {
            Column::Known(_) | Column::FamilyGiven if cell.trim().is_empty() => return Ok(()),
            Column::Known(known) => known,
            Column::Left | Column::Nameless => return Ok(()),
            Column::FamilyGiven => return self.take_name(cell),
            Column::Attribute(name) => {
                let value = kept(match (is_text, says_text) {
                    (true, _) => cell.into(),
                    (_, true) => cells::text_attribute(cell),
                    _ => cells::attribute(cell),
                });
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
        let Some((last, first)) = cells::last_and_first(cell) else {
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

/// The flaw with the value in front, where nobody could say what is wrong without it.
fn quoting(flaw: Flaw, cell: &str) -> Flaw {
    let is_about_the_whole = matches!(
        flaw.code,
        "invalid_email" | "invalid_locale" | "invalid_time_zone" | "wrong_type"
    );
    if !is_about_the_whole {
        return flaw;
    }
    let mut shown: String = cell.trim().chars().take(MOST_SHOWN).collect();
    if shown.len() < cell.trim().len() {
        shown.push('…');
    }
    Flaw::new(flaw.code, format!("`{shown}` {}", flaw.detail))
}

/// `1 cell`, `2 cells`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
