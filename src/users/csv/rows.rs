//! The users of a CSV file: what each record below the header says.

use std::{borrow::Cow, io::Read, str};

use super::{
    Line, LineFault, Row, cells,
    columns::{Column, Columns, Known, Names, not_utf8},
    mapping::ColumnMap,
    records::{MOST_FIELDS, Outcome, Records},
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
        attributes::{Attributes, MOST_ATTRIBUTES, check_attribute},
        domain::CreateUser,
    },
};

/// The users of a CSV file, one by one.
pub struct UserRecords<R> {
    records: Records<R>,
    columns: Columns,
}

impl<R: Read> UserRecords<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When the source cannot be read; inside, what is wrong with the header.
    pub fn open(source: R) -> std::io::Result<Result<Self, Vec<LineFault>>> {
        Self::open_as(source, &ColumnMap::default())
    }

    /// Reads the header of a file of which the caller says what columns are.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn open_as(source: R, asked: &ColumnMap) -> std::io::Result<Result<Self, Vec<LineFault>>> {
        let refused = |flaw| Ok(Err(vec![LineFault::of_record(1, flaw)]));
        let mut records = match Records::open(source)? {
            Ok(records) => records,
            Err(flaw) => return refused(flaw),
        };
        match records.advance()? {
            Some(Outcome::Read) => {}
            None => {
                return refused(Flaw::new(
                    "empty_file",
                    "the file is empty; its first line must name the columns",
                ));
            }
            Some(too_big) => return refused(flaw_of(&too_big)),
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

    /// Passes over a record that is not blank; whether there was one.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn pass(&mut self) -> std::io::Result<bool> {
        while let Some(outcome) = self.records.advance()? {
            let is_blank = self
                .records
                .fields()
                .all(|field| field.trim_ascii().is_empty());
            if outcome != Outcome::Read || !is_blank {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The next record that is not blank.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn advance(&mut self) -> std::io::Result<Option<Line>> {
        while let Some(outcome) = self.records.advance()? {
            let number = self.records.line();
            if outcome != Outcome::Read {
                let fault = LineFault::of_record(number, flaw_of(&outcome));
                return Ok(Some(Line::Faulty(vec![fault])));
            }
            if let Some(line) = row(&self.columns, number, self.records.fields()) {
                return Ok(Some(line));
            }
        }
        Ok(None)
    }
}

/// Reads a record; `None` for one whose cells are all empty, as spreadsheets leave at the end.
fn row<'a>(columns: &Columns, number: u32, fields: impl Iterator<Item = &'a [u8]>) -> Option<Line> {
    let fields: Vec<&[u8]> = fields.collect();
    if fields.iter().all(|field| field.trim_ascii().is_empty()) {
        return None;
    }
    if fields.len() != columns.count() {
        let flaw = Flaw::new(
            "wrong_column_count",
            format!(
                "has {}, but the header has {}",
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
            Column::Attribute(name) => {
                let value = cells::attribute(cell);
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

fn flaw_of(outcome: &Outcome) -> Flaw {
    match outcome {
        Outcome::TooManyFields => Flaw::new(
            "too_many_columns",
            format!("has more than {MOST_FIELDS} cells"),
        ),
        _ => Flaw::new(
            "record_too_long",
            "is longer than a record can be; perhaps a closing quote is missing",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn open(text: &str) -> Result<UserRecords<&[u8]>, Vec<LineFault>> {
        UserRecords::open(text.as_bytes()).unwrap()
    }

    fn lines(text: &str) -> Vec<Line> {
        let mut records = open(text).unwrap();
        std::iter::from_fn(|| records.advance().unwrap()).collect()
    }

    fn row(text: &str) -> Row {
        match lines(text).pop() {
            Some(Line::User(row)) => *row,
            Some(Line::Faulty(faults)) => panic!("{faults:?}"),
            None => panic!("no row"),
        }
    }

    fn codes(faults: &[LineFault]) -> Vec<(u32, Option<&str>, &str)> {
        faults
            .iter()
            .map(|fault| (fault.line, fault.column.as_deref(), fault.code))
            .collect()
    }

    #[test]
    fn a_row_holds_what_its_cells_say() {
        let row = row(
            "\u{FEFF}E-Mail;First Name;groups;enabled;floor;password;created_at;attributes.source\r\n\
             ada@example.com;Ada; Sales ;FALSE;4;correct horse;whenever;x\r\n",
        );
        assert_eq!((row.line, row.username()), (2, "ada@example.com"));
        assert_eq!(row.groups, ["Sales"]);
        assert_eq!(row.user.enabled, Some(false));
        let attributes = row.user.attributes.unwrap().0;
        assert_eq!(json!(attributes), json!({"floor": 4, "source": "x"}));
        assert!(row.password.is_some());
    }

    #[test]
    fn empty_cells_say_nothing() {
        let row = row("username,email,locale,enabled,floor\nada, ,,,\n,,,,\n");
        assert_eq!((row.username(), row.email()), ("ada", None));
        assert!(row.user.locale.is_none() && row.user.attributes.is_none());
    }

    #[test]
    fn a_bad_header_is_refused() {
        for (text, code) in [
            ("", "empty_file"),
            ("first_name\nAda\n", "missing_column"),
            ("email,Email\n", "repeated_column"),
            ("email,floor,floor\n", "repeated_column"),
            ("email,\n", "empty"),
            ("ada@example.com\nbob@example.com", "missing_column"),
            ("email,a\u{0}b", "control_character"),
        ] {
            let Err(faults) = open(text) else {
                panic!("{text:?} was taken");
            };
            assert_eq!(faults[0].code, code, "{text:?}");
        }
        assert!(open(&format!("email{}", ",x".repeat(999))).is_err());
    }

    #[test]
    fn every_fault_of_a_row_is_told() {
        let text = "email,locale,enabled,password,floor\n\
            nobody,xx-$$,perhaps,short,\"a\0\"\n\
            a@x.yz,fr,true\n\
            ,fr,,,\n\
            b@x.yz,,,,\n";
        let lines = lines(text);
        let faulty: Vec<_> = lines
            .iter()
            .map(|line| match line {
                Line::Faulty(faults) => codes(faults),
                Line::User(_) => Vec::new(),
            })
            .collect();
        assert_eq!(
            faulty[0],
            [
                (2, Some("email"), "invalid_email"),
                (2, Some("locale"), "invalid_locale"),
                (2, Some("enabled"), "wrong_type"),
                (2, Some("password"), "too_short"),
                (2, Some("floor"), "control_character")
            ]
        );
        assert_eq!(faulty[1], [(3, None, "wrong_column_count")]);
        assert_eq!(faulty[2], [(4, None, "required")]);
        assert!(faulty[3].is_empty());
    }

    #[test]
    fn what_is_not_utf8_is_told_where_it_is() {
        let mut records = UserRecords::open(&b"email,last_name\na@x.yz,M\xFCller\nb@x.yz,M\n"[..])
            .unwrap()
            .unwrap();
        let Some(Line::Faulty(faults)) = records.advance().unwrap() else {
            panic!("taken");
        };
        assert_eq!(codes(&faults), [(2, Some("last_name"), "not_utf8")]);
        assert!(matches!(records.advance().unwrap(), Some(Line::User(_))));
    }
}
