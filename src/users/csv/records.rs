//! The records of a table, in bounded memory, each with the line on which it begins: of CSV, or of a sheet.

use std::io::{self, Read};

pub use super::outcome::{MOST_FIELDS, Outcome};
use super::{
    delimiter,
    outcome::MARK,
    sheet::{self, SheetRecords, Told},
    text::{TextRecords, is_bare_in},
};
use crate::model::wire::Flaw;

/// Reads records one by one.
pub struct Records<R> {
    source: Source<R>,
    /// The first record's cells, as they are compared; `None` before it.
    header: Option<Vec<Vec<u8>>>,
    /// What parts the cells where each line is quoted as a whole.
    inside: Option<u8>,
    /// The cells of such a line.
    line: Option<Cells>,
}

/// Cells in one, and where each ends.
type Cells = (Vec<u8>, Vec<usize>);

enum Source<R> {
    Text(Box<TextRecords<R>>),
    Sheet(SheetRecords<R>),
}

impl<R: Read> Records<R> {
    /// Begins a file of UTF-8 text.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn text(source: R) -> io::Result<Self> {
        Ok(Self::of(Source::Text(Box::new(TextRecords::open(
            source,
            delimiter::begin,
        )?))))
    }

    /// Begins a sheet that was written by [`super::sheet::SheetWriter`].
    pub fn sheet(source: R) -> Self {
        Self::of(Source::Sheet(SheetRecords::open(source)))
    }

    fn of(source: Source<R>) -> Self {
        Self {
            source,
            header: None,
            inside: None,
            line: None,
        }
    }

    /// Goes on to the next record; `None` at the end of the file. The first one has a cell that is not blank.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn advance(&mut self) -> io::Result<Option<Outcome>> {
        loop {
            self.line = None;
            let outcome = match &mut self.source {
                Source::Text(records) => records.advance()?,
                Source::Sheet(records) => records.advance()?,
            };
            if outcome != Some(Outcome::Read) {
                return Ok(outcome);
            }
            if self.header.is_none() {
                // Spreadsheets leave empty records in front, too.
                if self.fields().any(|field| !field.trim_ascii().is_empty()) {
                    return self.begin().map(Some);
                }
                continue;
            }
            return self.known().map(Some);
        }
    }

    /// What a record behind the header is.
    fn known(&mut self) -> io::Result<Outcome> {
        let mut outcome = Outcome::Read;
        match (self.inside, self.delimiter(), self.only_cell()) {
            (Some(delimiter), _, Some(line)) => {
                let (read, cells) = unfolded(line, delimiter)?;
                outcome = read;
                self.line = Some(cells);
            }
            (None, Some(delimiter), Some(line))
                if self.has_columns() && (line.contains(&b'"') || is_bare_in(line, delimiter)) =>
            {
                outcome = Outcome::QuotedLine;
            }
            _ => {}
        }
        let header = self.header.as_deref().unwrap_or_default();
        Ok(match outcome {
            Outcome::Read if repeats(header, self.fields()) => Outcome::RepeatedHeader,
            outcome => outcome,
        })
    }

    /// More than one.
    fn has_columns(&self) -> bool {
        self.header.as_ref().is_some_and(|header| header.len() > 1)
    }

    /// Takes the record as the header. Where it is one cell that reads as a header, each line is quoted as a whole.
    fn begin(&mut self) -> io::Result<Outcome> {
        if self.delimiter().is_some()
            && let Some(line) = self.only_cell()
        {
            let header = delimiter::seen(line);
            if header.cells.len() > 1 && header.names_people() {
                let (outcome, cells) = unfolded(line, header.byte)?;
                self.inside = Some(header.byte);
                self.line = Some(cells);
                if outcome != Outcome::Read {
                    return Ok(outcome);
                }
            }
        }
        self.header = Some(self.fields().map(compared).collect());
        Ok(Outcome::Read)
    }

    /// What parts the cells of a text.
    pub(super) fn delimiter(&self) -> Option<u8> {
        match &self.source {
            Source::Text(records) => self.inside.or(Some(records.delimiter())),
            Source::Sheet(_) => None,
        }
    }

    /// The first cell of a record that has no other one.
    fn only_cell(&self) -> Option<&[u8]> {
        let mut fields = self.fields();
        let first = fields.next()?;
        fields
            .all(|field| field.trim_ascii().is_empty())
            .then_some(first)
    }

    /// The line of the record from 1: where it begins, or where its quote does.
    pub fn line(&self) -> u32 {
        match &self.source {
            Source::Text(records) => records.line(),
            Source::Sheet(records) => records.line(),
        }
    }

    /// Of a sheet: what it is called.
    pub(super) fn of_sheet(&self) -> Option<&Told> {
        match &self.source {
            Source::Text(_) => None,
            Source::Sheet(records) => Some(records.told()),
        }
    }

    /// Whether a field says that it is text, whatever it looks like.
    pub(super) fn is_text(&self, column: usize) -> bool {
        match &self.source {
            Source::Text(_) => false,
            Source::Sheet(records) => records.is_text(column),
        }
    }

    /// Why a field has no value, if it is of a sheet and has none.
    pub(super) fn no_value(&self, column: usize, field: &[u8]) -> Option<Flaw> {
        self.of_sheet()?;
        sheet::no_value(self.line(), column, field)
    }

    /// The fields of a record that was [`Outcome::Read`], without byte-order marks at their ends; some may be
    /// no UTF-8.
    pub fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let (output, ends) = match (&self.line, &self.source) {
            (Some((output, ends)), _) => (output.as_slice(), ends.as_slice()),
            (None, Source::Text(records)) => records.cells(),
            (None, Source::Sheet(records)) => records.cells(),
        };
        let starts = std::iter::once(0).chain(ends.iter().copied());
        starts
            .zip(ends)
            .map(|(start, end)| unmarked(&output[start..*end]))
    }
}

/// The cells of a line that was one.
fn unfolded(line: &[u8], delimiter: u8) -> io::Result<(Outcome, Cells)> {
    let mut records = TextRecords::of(line, delimiter);
    let outcome = records.advance()?.unwrap_or(Outcome::Read);
    let (output, ends) = records.cells();
    let cells = (output.to_vec(), ends.to_vec());
    let is_one = records.advance()?.is_none();
    Ok((if is_one { outcome } else { Outcome::QuotedLine }, cells))
}

/// Joined files and pasted cells leave marks inside.
fn unmarked(mut field: &[u8]) -> &[u8] {
    while let Some(rest) = field.strip_prefix(MARK) {
        field = rest;
    }
    while let Some(rest) = field.strip_suffix(MARK) {
        field = rest;
    }
    field
}

fn compared(field: &[u8]) -> Vec<u8> {
    field.trim_ascii().to_ascii_lowercase()
}

fn repeats<'a>(header: &[Vec<u8>], mut fields: impl Iterator<Item = &'a [u8]>) -> bool {
    let mut names = header.iter();
    let is_same = |field: &[u8]| {
        let name = names.next().map_or(&b""[..], Vec::as_slice);
        field.trim_ascii().eq_ignore_ascii_case(name)
    };
    fields.all(is_same) && names.all(Vec::is_empty)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outcomes(text: &str) -> Vec<(u32, Outcome)> {
        let mut records = Records::text(text.as_bytes()).unwrap();
        let mut found = Vec::new();
        while let Some(outcome) = records.advance().unwrap() {
            found.push((records.line(), outcome));
        }
        found
    }

    #[test]
    fn a_header_in_the_middle_is_known() {
        for again in [
            "email,floor",
            "Email,Floor",
            "EMAIL,FLOOR",
            " email , floor ",
            "\"email\",\"floor\"",
            "\u{FEFF}email,floor",
            "\u{FEFF}\"email\",floor",
            "email,floor,",
            "email,floor,,,",
            "email,floor\r",
        ] {
            let found = outcomes(&format!("email,floor\na@x.yz,1\n{again}\nb@x.yz,2\n"));
            let expected = [
                (1, Outcome::Read),
                (2, Outcome::Read),
                (3, Outcome::RepeatedHeader),
                (4, Outcome::Read),
            ];
            assert_eq!(found, expected, "{again:?}");
        }
        for other in [
            "email",
            "email,",
            "floor,email",
            "email,floor,x",
            ",",
            "e-mail,floor",
        ] {
            let found = outcomes(&format!("email,floor\n{other}\n"));
            assert_eq!(found[1].1, Outcome::Read, "{other:?}");
        }
    }

    #[test]
    fn marks_at_the_ends_of_cells_are_dropped() {
        for (cell, kept) in [
            ("\u{FEFF}a", "a"),
            ("a\u{FEFF}", "a"),
            ("\u{FEFF}a\u{FEFF}", "a"),
            ("\u{FEFF}\u{FEFF}a", "a"),
            ("a\u{FEFF}\u{FEFF}", "a"),
            ("\u{FEFF}\"a,b\"", "a,b"),
            ("\"a\"\u{FEFF}", "a"),
            ("\"\u{FEFF}a\"", "a"),
            ("\u{FEFF}", ""),
            ("a\u{FEFF}b", "a\u{FEFF}b"),
        ] {
            let text = format!("\u{FEFF}one,two,three\n1,{cell},3\n{cell},{cell},{cell}");
            let mut records = Records::text(text.as_bytes()).unwrap();
            let mut read = || {
                records.advance().unwrap();
                let fields = records.fields();
                let fields: Vec<_> = fields
                    .map(|field| str::from_utf8(field).unwrap().to_owned())
                    .collect();
                fields
            };
            assert_eq!(read(), ["one", "two", "three"]);
            assert_eq!(read(), ["1", kept, "3"], "{cell:?}");
            assert_eq!(read(), [kept; 3], "{cell:?}");
        }
    }

    #[test]
    fn empty_records_in_front_are_passed_over() {
        assert_eq!(outcomes(";;\n\n;;\nemail;floor;\na;1\n")[0].0, 4);
        assert_eq!(outcomes(",,\n,,\n"), []);
    }
}
