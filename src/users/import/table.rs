//! What a file is read from: itself where it is UTF-8, else a file that its text or its sheet was written to.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
};

use super::error::{Detected, ImportError};
use crate::{
    model::identity::PersonName,
    users::{
        csv::{
            Line, Row,
            addresses::Addresses,
            columns::Names,
            decoding::{self, Charset, Content},
            delimiter::is_table,
            mapping::ColumnMap,
            records,
            rows::UserRecords,
            told::{ColumnTold, Warning},
            workbook,
        },
        names::{Parts, in_its_order},
    },
};

/// As much of a list as may hold its header.
const HEADER: u64 = 64 * 1024;

/// Names that are shown of a file whose encoding is guessed.
const SHOWN: usize = 3;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A table: CSV, or a workbook, which is known by its first bytes.
    Csv,
    /// A list of addresses, unless it has a header.
    Addresses,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Sheet,
    List,
}

/// The text or sheet of a file.
pub(super) struct Table {
    file: File,
    kind: Kind,
    /// What it was read as.
    pub(super) encoding: String,
}

impl Table {
    /// Finds out what a file is, and makes what can be read of it.
    ///
    /// # Errors
    /// It is no table, or its encoding is only guessed.
    pub(super) fn read(
        file: &File,
        format: Format,
        charset: Option<Charset>,
        columns: &ColumnMap,
    ) -> Result<Self, ImportError> {
        let mut file = file.try_clone()?;
        match decoding::look(&mut file, charset)? {
            Content::Utf8 => Self::of_text(file, format, "utf-8".to_owned()),
            Content::Encoded(charset) => Self::decoded(&mut file, format, charset),
            Content::Guessed(charset) => {
                let table = Self::decoded(&mut file, format, charset)?;
                Err(ImportError::Detected(Detected {
                    charset: charset.name(),
                    names: table.names(columns)?,
                }))
            }
            Content::Zip => Ok(Self {
                file: workbook::convert(file)?.map_err(ImportError::Unreadable)?,
                kind: Kind::Sheet,
                encoding: "xlsx".to_owned(),
            }),
            Content::Refused(flaw) => Err(ImportError::Unreadable(flaw)),
        }
    }

    /// A list with a header is a table.
    fn of_text(mut file: File, format: Format, encoding: String) -> Result<Self, ImportError> {
        let mut start = Vec::new();
        file.seek(SeekFrom::Start(0))?;
        (&mut file).take(HEADER).read_to_end(&mut start)?;
        let is_list = format == Format::Addresses && !is_table(&start);
        Ok(Self {
            file,
            kind: if is_list { Kind::List } else { Kind::Text },
            encoding,
        })
    }

    fn decoded(source: &mut File, format: Format, charset: Charset) -> Result<Self, ImportError> {
        source.seek(SeekFrom::Start(0))?;
        let mut sink = BufWriter::new(tempfile::tempfile()?);
        let done = decoding::transcode(source, charset, &mut sink)?;
        if let Some(flaw) = done.refusal(charset) {
            return Err(ImportError::Unreadable(flaw));
        }
        sink.flush()?;
        let file = sink.into_inner().map_err(io::IntoInnerError::into_error)?;
        Self::of_text(file, format, charset.name())
    }

    /// The first names with letters that depend on the encoding.
    fn names(&self, columns: &ColumnMap) -> Result<Vec<String>, ImportError> {
        let mut records = match self.records(columns) {
            Ok(records) => records,
            Err(ImportError::Header(_)) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        while names.len() < SHOWN
            && let Some(line) = records.advance()?
        {
            if let Line::User(row) = line
                && let Some(name) = telling(&row)
                && !names.contains(&name)
            {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Its records, from the first one. `columns` is what the caller says that they are.
    ///
    /// # Errors
    /// A bad header.
    pub(super) fn records(&self, columns: &ColumnMap) -> Result<Records, ImportError> {
        let mut file = self.file.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        let records = match self.kind {
            Kind::Sheet => records::Records::sheet(file),
            Kind::Text => records::Records::text(file)?,
            Kind::List => {
                let addresses = Addresses::open(BufReader::new(file))?;
                return Ok(Records::Addresses(Box::new(addresses)));
            }
        };
        let records = UserRecords::open(records, columns)?.map_err(ImportError::Header)?;
        Ok(Records::Table(Box::new(records)))
    }
}

/// The name in a row that shows whether its encoding was guessed right. Never an attribute, which may be a password in a
/// column whose name was guessed wrong.
fn telling(row: &Row) -> Option<String> {
    let user = &row.user;
    let part = |name: Option<&PersonName>| {
        name.map(|name| name.as_str().to_owned())
            .unwrap_or_default()
    };
    let made = in_its_order(Parts {
        first: &part(user.first_name.as_ref()),
        last: &part(user.last_name.as_ref()),
        username: "",
        locale: user.locale.as_ref().map(|locale| locale.as_str()),
    });
    let said = user
        .display_name
        .iter()
        .map(|name| name.as_str().to_owned());
    said.chain([made, row.username().to_owned()])
        .chain(row.groups.iter().cloned())
        .find(|text| !text.is_ascii())
        .map(|text| text.chars().take(60).collect())
}

/// The records of a table or a list.
pub(super) enum Records {
    Table(Box<UserRecords<File>>),
    Addresses(Box<Addresses<BufReader<File>>>),
}

impl Records {
    pub(super) fn advance(&mut self) -> io::Result<Option<Line>> {
        match self {
            Self::Table(records) => records.advance(),
            Self::Addresses(records) => records.advance(),
        }
    }

    pub(super) fn pass(&mut self) -> io::Result<bool> {
        match self {
            Self::Table(records) => records.pass(),
            Self::Addresses(records) => Ok(records.advance()?.is_some()),
        }
    }

    pub(super) fn names(&self) -> Names {
        match self {
            Self::Table(records) => records.names(),
            Self::Addresses(_) => Names::default(),
        }
    }

    /// What became of its columns, and what to look at again: of a list, in what was read so far.
    pub(super) fn told(&self) -> (Vec<ColumnTold>, Vec<Warning>) {
        match self {
            Self::Table(records) => (records.told(), records.warnings()),
            Self::Addresses(records) => (Vec::new(), records.warnings()),
        }
    }

    pub(super) fn has_passwords(&self) -> bool {
        match self {
            Self::Table(records) => records.has_passwords(),
            Self::Addresses(_) => false,
        }
    }
}
