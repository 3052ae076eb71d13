//! The rows of a sheet as they are kept in a file between reading a workbook and importing it: cells with their
//! lengths, so that whatever a cell holds comes back.

use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};

use super::outcome::{LONGEST, MOST_FIELDS, Outcome};
use crate::model::wire::Flaw;

/// What a row's mark says.
const READ: u8 = 0;
const TOO_LONG: u8 = 1;
const TOO_MANY: u8 = 2;
/// The sheet itself: its name is a cell, and how many others can be seen is the line.
const SHEET: u8 = 3;
/// In front of what stands for a cell without a value: no UTF-8, so that nobody takes it for one.
const NO_VALUE: u8 = 0xFF;

/// What a cell is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Kind {
    /// A number, a date, true or false.
    #[default]
    Value,
    /// It says of itself that it is text.
    Text,
    /// An error, which the text names.
    Error,
    /// A formula without a value.
    NotCalculated,
}

/// Writes rows one by one.
pub(super) struct SheetWriter<W: Write>(BufWriter<W>);

impl<W: Write> SheetWriter<W> {
    pub(super) fn new(sink: W) -> Self {
        Self(BufWriter::new(sink))
    }

    /// Writes what the sheet is called, and how many others a person sees.
    pub(super) fn begin(&mut self, name: &str, others: usize) -> io::Result<()> {
        self.write(length(others)?, SHEET, &[(Kind::Text, name.to_owned())])
    }

    /// Writes a row that has something in it.
    pub(super) fn row(&mut self, line: u32, row: &Row) -> io::Result<()> {
        match row.outcome {
            Outcome::Read => self.write(line, READ, &row.cells),
            Outcome::TooManyFields => self.write(line, TOO_MANY, &[]),
            _ => self.write(line, TOO_LONG, &[]),
        }
    }

    fn write(&mut self, line: u32, mark: u8, cells: &[(Kind, String)]) -> io::Result<()> {
        self.0.write_all(&line.to_le_bytes())?;
        self.0.write_all(&[mark])?;
        self.0.write_all(&length(cells.len())?.to_le_bytes()[..2])?;
        for (kind, cell) in cells {
            self.0.write_all(&length(cell.len())?.to_le_bytes())?;
            self.0.write_all(&[*kind as u8])?;
            self.0.write_all(cell.as_bytes())?;
        }
        Ok(())
    }

    pub(super) fn finish(self) -> io::Result<W> {
        self.0.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

fn length(count: usize) -> io::Result<u32> {
    u32::try_from(count).map_err(io::Error::other)
}

/// A row while its cells come in.
pub(super) struct Row {
    cells: Vec<(Kind, String)>,
    size: usize,
    outcome: Outcome,
}

impl Row {
    pub(super) fn new() -> Self {
        Self {
            cells: Vec::new(),
            size: 0,
            outcome: Outcome::Read,
        }
    }

    /// Puts a text into the cell of a column, from 0.
    pub(super) fn put(&mut self, column: u32, kind: Kind, text: &str) {
        let column = column as usize;
        let is_empty = text.is_empty() && kind != Kind::NotCalculated;
        self.size += text.len();
        if self.outcome != Outcome::Read || is_empty {
        } else if column >= MOST_FIELDS {
            self.outcome = Outcome::TooManyFields;
        } else if self.size > LONGEST {
            self.outcome = Outcome::TooLong;
        } else {
            if self.cells.len() <= column {
                self.cells.resize(column + 1, Default::default());
            }
            self.cells[column] = (kind, text.to_owned());
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty() && self.outcome == Outcome::Read
    }
}

/// What is told of a sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) name: String,
    /// How many others a person sees.
    pub(super) others: u32,
}

/// Reads rows one by one.
pub(super) struct SheetRecords<R> {
    source: BufReader<R>,
    line: u32,
    output: Vec<u8>,
    ends: Vec<usize>,
    kinds: Vec<u8>,
    told: Told,
}

impl<R: Read> SheetRecords<R> {
    pub(super) fn open(source: R) -> Self {
        Self {
            source: BufReader::with_capacity(64 * 1024, source),
            line: 1,
            output: Vec::new(),
            ends: Vec::new(),
            kinds: Vec::new(),
            told: Told {
                name: String::new(),
                others: 0,
            },
        }
    }

    /// Goes on to the next row; `None` at the end of the sheet.
    pub(super) fn advance(&mut self) -> io::Result<Option<Outcome>> {
        loop {
            let line = match self.number() {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                    self.clear();
                    return Ok(None);
                }
                line => line?,
            };
            let mark = self.cells_of_row()?;
            if mark == SHEET {
                self.told = Told {
                    name: String::from_utf8_lossy(&self.output).into_owned(),
                    others: line,
                };
                continue;
            }
            self.line = line;
            return Ok(Some(match mark {
                READ => Outcome::Read,
                TOO_MANY => Outcome::TooManyFields,
                _ => Outcome::TooLong,
            }));
        }
    }

    fn clear(&mut self) {
        self.output.clear();
        self.ends.clear();
        self.kinds.clear();
    }

    /// Reads the cells of a row, and its mark.
    fn cells_of_row(&mut self) -> io::Result<u8> {
        self.clear();
        let mut head = [0; 3];
        self.source.read_exact(&mut head)?;
        let [mark, count @ ..] = head;
        for _ in 0..u16::from_le_bytes(count) {
            let length = self.number()?;
            let mut kind = [0];
            self.source.read_exact(&mut kind)?;
            let [kind] = kind;
            if kind != Kind::Value as u8 && kind != Kind::Text as u8 {
                self.output.extend([NO_VALUE, kind]);
            }
            (&mut self.source)
                .take(u64::from(length))
                .read_to_end(&mut self.output)?;
            self.ends.push(self.output.len());
            self.kinds.push(kind);
        }
        Ok(mark)
    }

    pub(super) fn line(&self) -> u32 {
        self.line
    }

    /// The cells in one, and where each ends. What is no UTF-8 has [no value](Self::no_value).
    pub(super) fn cells(&self) -> (&[u8], &[usize]) {
        (&self.output, &self.ends)
    }

    /// Whether a cell says that it is text.
    pub(super) fn is_text(&self, column: usize) -> bool {
        self.kinds.get(column) == Some(&(Kind::Text as u8))
    }

    /// Once the first row was read.
    pub(super) fn told(&self) -> &Told {
        &self.told
    }

    fn number(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.source.read_exact(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }
}

/// Why a cell of a sheet has no value, if it has none.
pub(super) fn no_value(line: u32, column: usize, field: &[u8]) -> Option<Flaw> {
    let [NO_VALUE, kind, what @ ..] = field else {
        return None;
    };
    let cell = cell_name(line, column);
    Some(if *kind == Kind::NotCalculated as u8 {
        Flaw::new(
            "not_calculated",
            format!(
                "{cell} holds a formula that was never calculated; open and save the workbook in a spreadsheet program"
            ),
        )
    } else {
        let what: String = String::from_utf8_lossy(what).chars().take(40).collect();
        Flaw::new(
            "error_cell",
            format!(
                "{cell} holds {what}, which is an error and no value; mend the formula or empty the cell"
            ),
        )
    })
}

/// `C5`, as a spreadsheet names the cell of a line, from 1, and a column, from 0.
pub(super) fn cell_name(line: u32, column: usize) -> String {
    let mut letters = Vec::new();
    let mut left = column + 1;
    while left > 0 {
        letters.push(char::from(b'A' + ((left - 1) % 26) as u8));
        left = (left - 1) / 26;
    }
    let letters: String = letters.iter().rev().collect();
    format!("{letters}{line}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were() {
        let mut writer = SheetWriter::new(Vec::new());
        writer.begin("Blätter", 2).unwrap();
        let mut row = Row::new();
        row.put(2, Kind::Text, "c \"\n,");
        row.put(0, Kind::Value, "a");
        row.put(9, Kind::Text, "");
        writer.row(3, &row).unwrap();
        let mut wide = Row::new();
        wide.put(16_000, Kind::Value, "x");
        writer.row(4, &wide).unwrap();
        let mut long = Row::new();
        long.put(0, Kind::Text, &"x".repeat(LONGEST));
        long.put(1, Kind::Text, "x");
        writer.row(5, &long).unwrap();
        let mut bad = Row::new();
        bad.put(0, Kind::Error, "#N/A");
        bad.put(27, Kind::NotCalculated, "");
        writer.row(6, &bad).unwrap();
        let file = writer.finish().unwrap();
        let mut records = SheetRecords::open(&file[..]);
        let mut found = Vec::new();
        while let Some(outcome) = records.advance().unwrap() {
            found.push((records.line(), outcome, records.cells().1.len()));
            if records.line() == 3 {
                assert_eq!(records.cells(), (&b"ac \"\n,"[..], &[1, 1, 6][..]));
                assert!(records.is_text(2) && !records.is_text(0) && !records.is_text(9));
            }
            if records.line() == 6 {
                let (cells, ends) = records.cells();
                let error = no_value(6, 0, &cells[..ends[0]]).unwrap();
                assert!(
                    error.detail.starts_with("A6 holds #N/A, "),
                    "{}",
                    error.detail
                );
                let empty = no_value(6, 27, &cells[ends[26]..]).unwrap();
                assert_eq!(empty.code, "not_calculated");
                assert!(empty.detail.starts_with("AB6 holds"), "{}", empty.detail);
            }
        }
        assert_eq!(
            found,
            [
                (3, Outcome::Read, 3),
                (4, Outcome::TooManyFields, 0),
                (5, Outcome::TooLong, 0),
                (6, Outcome::Read, 28),
            ]
        );
        assert_eq!(
            (records.told().name.as_str(), records.told().others),
            ("Blätter", 2)
        );
        assert!(Row::new().is_empty() && !bad.is_empty());
    }

    #[test]
    fn cells_have_the_names_that_people_see() {
        for (column, name) in [
            (0, "A7"),
            (25, "Z7"),
            (26, "AA7"),
            (701, "ZZ7"),
            (702, "AAA7"),
        ] {
            assert_eq!(cell_name(7, column), name);
        }
    }
}
