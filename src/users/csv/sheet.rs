//! The rows of a sheet as they are kept in a file between reading a workbook and importing it: cells with their
//! lengths, so that whatever a cell holds comes back.

use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};

use super::outcome::{LONGEST, MOST_FIELDS, Outcome};

/// What a row's mark says.
const READ: u8 = 0;
const TOO_LONG: u8 = 1;
const TOO_MANY: u8 = 2;
const ERROR: u8 = 3;

/// Writes rows one by one.
pub(super) struct SheetWriter<W: Write>(BufWriter<W>);

impl<W: Write> SheetWriter<W> {
    pub(super) fn new(sink: W) -> Self {
        Self(BufWriter::new(sink))
    }

    /// Writes a row that has something in it, and how many bytes that took.
    pub(super) fn row(&mut self, line: u32, row: &Row) -> io::Result<usize> {
        let cells: &[String] = if row.outcome == Outcome::Read {
            &row.cells
        } else {
            &[]
        };
        let (mark, cells) = match &row.outcome {
            Outcome::Read => (READ, cells),
            Outcome::TooManyFields => (TOO_MANY, cells),
            Outcome::ErrorCell(what) => (ERROR, std::slice::from_ref(what)),
            _ => (TOO_LONG, cells),
        };
        let mut written = 7;
        self.0.write_all(&line.to_le_bytes())?;
        self.0.write_all(&[mark])?;
        self.0
            .write_all(&length(cells.len() as u64)?.to_le_bytes()[..2])?;
        for cell in cells {
            self.0
                .write_all(&length(cell.len() as u64)?.to_le_bytes())?;
            self.0.write_all(cell.as_bytes())?;
            written += 4 + cell.len();
        }
        Ok(written)
    }

    pub(super) fn finish(self) -> io::Result<W> {
        self.0.into_inner().map_err(io::IntoInnerError::into_error)
    }
}

fn length(count: u64) -> io::Result<u32> {
    u32::try_from(count).map_err(io::Error::other)
}

/// A row while its cells come in.
pub(super) struct Row {
    cells: Vec<String>,
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
    pub(super) fn put(&mut self, column: u32, text: String) {
        let column = column as usize;
        self.size += text.len();
        if self.outcome != Outcome::Read || text.is_empty() {
        } else if column >= MOST_FIELDS {
            self.outcome = Outcome::TooManyFields;
        } else if self.size > LONGEST {
            self.outcome = Outcome::TooLong;
        } else {
            if self.cells.len() <= column {
                self.cells.resize(column + 1, String::new());
            }
            self.cells[column] = text;
        }
    }

    /// Says that a cell holds an error.
    pub(super) fn fail(&mut self, what: String) {
        if self.outcome == Outcome::Read {
            self.outcome = Outcome::ErrorCell(what);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.cells.is_empty() && self.outcome == Outcome::Read
    }
}

/// Reads rows one by one.
pub(super) struct SheetRecords<R> {
    source: BufReader<R>,
    line: u32,
    output: Vec<u8>,
    ends: Vec<usize>,
}

impl<R: Read> SheetRecords<R> {
    pub(super) fn open(source: R) -> Self {
        Self {
            source: BufReader::with_capacity(64 * 1024, source),
            line: 1,
            output: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// Goes on to the next row; `None` at the end of the sheet.
    pub(super) fn advance(&mut self) -> io::Result<Option<Outcome>> {
        self.output.clear();
        self.ends.clear();
        let line = match self.number() {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
            line => line?,
        };
        self.line = line;
        let mut mark = [0; 3];
        self.source.read_exact(&mut mark)?;
        for _ in 0..u16::from_le_bytes([mark[1], mark[2]]) {
            let length = self.number()?;
            (&mut self.source)
                .take(u64::from(length))
                .read_to_end(&mut self.output)?;
            self.ends.push(self.output.len());
        }
        Ok(Some(match mark[0] {
            READ => Outcome::Read,
            ERROR => {
                self.ends.clear();
                Outcome::ErrorCell(String::from_utf8_lossy(&self.output).into_owned())
            }
            TOO_MANY => Outcome::TooManyFields,
            _ => Outcome::TooLong,
        }))
    }

    pub(super) fn line(&self) -> u32 {
        self.line
    }

    /// The cells in one, and where each ends.
    pub(super) fn cells(&self) -> (&[u8], &[usize]) {
        (&self.output, &self.ends)
    }

    fn number(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        self.source.read_exact(&mut bytes)?;
        Ok(u32::from_le_bytes(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_as_they_were() {
        let mut writer = SheetWriter::new(Vec::new());
        let mut row = Row::new();
        row.put(2, "c \"\n,".to_owned());
        row.put(0, "a".to_owned());
        row.put(9, String::new());
        writer.row(3, &row).unwrap();
        let mut wide = Row::new();
        wide.put(16_000, "x".to_owned());
        writer.row(4, &wide).unwrap();
        let mut long = Row::new();
        long.put(0, "x".repeat(LONGEST));
        long.put(1, "x".to_owned());
        writer.row(5, &long).unwrap();
        let mut bad = Row::new();
        bad.put(0, "x".to_owned());
        bad.fail("A6 holds #N/A".to_owned());
        writer.row(6, &bad).unwrap();
        let file = writer.finish().unwrap();
        let mut records = SheetRecords::open(&file[..]);
        let mut found = Vec::new();
        while let Some(outcome) = records.advance().unwrap() {
            found.push((records.line(), outcome, records.cells().1.len()));
        }
        assert_eq!(
            found,
            [
                (3, Outcome::Read, 3),
                (4, Outcome::TooManyFields, 0),
                (5, Outcome::TooLong, 0),
                (6, Outcome::ErrorCell("A6 holds #N/A".to_owned()), 0),
            ]
        );
        assert!(Row::new().is_empty() && !bad.is_empty());
    }
}
