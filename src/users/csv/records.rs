//! The records of a table, in bounded memory, each with the line on which it begins: of CSV, or of a sheet.

use std::io::{self, Read};

pub use super::outcome::{MOST_FIELDS, Outcome};
use super::{outcome::MARK, sheet::SheetRecords, text::TextRecords};

/// Reads records one by one.
pub struct Records<R> {
    source: Source<R>,
    /// The first record's cells, as they are compared; `None` before it.
    header: Option<Vec<Vec<u8>>>,
}

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
        Ok(Self::of(Source::Text(Box::new(TextRecords::open(source)?))))
    }

    /// Begins a sheet that was written by [`super::sheet::SheetWriter`].
    pub fn sheet(source: R) -> Self {
        Self::of(Source::Sheet(SheetRecords::open(source)))
    }

    fn of(source: Source<R>) -> Self {
        Self {
            source,
            header: None,
        }
    }

    /// Goes on to the next record; `None` at the end of the file. The first one has a cell that is not blank.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn advance(&mut self) -> io::Result<Option<Outcome>> {
        loop {
            let outcome = match &mut self.source {
                Source::Text(records) => records.advance()?,
                Source::Sheet(records) => records.advance()?,
            };
            if outcome != Some(Outcome::Read) {
                return Ok(outcome);
            }
            match &self.header {
                Some(header) if repeats(header, self.fields()) => {
                    return Ok(Some(Outcome::RepeatedHeader));
                }
                Some(_) => return Ok(outcome),
                // Spreadsheets leave empty records in front, too.
                None if self.fields().all(|field| field.trim_ascii().is_empty()) => {}
                None => {
                    self.header = Some(self.fields().map(compared).collect());
                    return Ok(outcome);
                }
            }
        }
    }

    /// The line of the record from 1: where it begins, or where its quote does.
    pub fn line(&self) -> u32 {
        match &self.source {
            Source::Text(records) => records.line(),
            Source::Sheet(records) => records.line(),
        }
    }

    /// The fields of a record that was [`Outcome::Read`], without byte-order marks at their ends; some may be
    /// no UTF-8.
    pub fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let (output, ends) = match &self.source {
            Source::Text(records) => records.cells(),
            Source::Sheet(records) => records.cells(),
        };
        let starts = std::iter::once(0).chain(ends.iter().copied());
        starts
            .zip(ends)
            .map(|(start, end)| unmarked(&output[start..*end]))
    }
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
