//! The records of a CSV file (RFC 4180), in bounded memory, each with the line on which it begins.

use std::io::{self, ErrorKind, Read};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use crate::model::wire::Flaw;

/// More bytes than any record needs; a quote that is never closed would take the rest of the file.
const LONGEST: usize = 1024 * 1024;
/// Columns of a file: what an export may have at most, and ten times what one user has.
pub const MOST_FIELDS: usize = 500;
const BUFFER: usize = 64 * 1024;

/// Reads records one by one.
pub struct Records<R> {
    source: R,
    core: Reader,
    input: Box<[u8]>,
    at: usize,
    filled: usize,
    /// The line of the next byte, from 1.
    next_line: u32,
    after_return: bool,
    /// The line on which the record begins.
    line: u32,
    output: Vec<u8>,
    ends: Vec<usize>,
    /// How many of `ends` are the record's.
    fields: usize,
}

/// Whether the record could be read; then [`Records::fields`] has its fields.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    Read,
    TooLong,
    TooManyFields,
}

impl<R: Read> Records<R> {
    /// Begins a file: skips a byte-order mark and finds out what parts its fields.
    ///
    /// # Errors
    /// When the source cannot be read, or is in an encoding that is known to be another one.
    pub fn open(mut source: R) -> io::Result<Result<Self, Flaw>> {
        let mut input = vec![0; BUFFER].into_boxed_slice();
        let filled = fill(&mut source, &mut input)?;
        let start = &input[..filled];
        if start.starts_with(&[0xFF, 0xFE]) || start.starts_with(&[0xFE, 0xFF]) {
            return Ok(Err(Flaw::new(
                "not_utf8",
                "the file is UTF-16; save it as CSV UTF-8",
            )));
        }
        let at = if start.starts_with("\u{FEFF}".as_bytes()) {
            3
        } else {
            0
        };
        let core = ReaderBuilder::new()
            .delimiter(delimiter(&start[at..]))
            .build();
        Ok(Ok(Self {
            source,
            core,
            input,
            at,
            filled,
            next_line: 1,
            after_return: false,
            line: 1,
            output: vec![0; 4 * 1024],
            ends: vec![0; MOST_FIELDS],
            fields: 0,
        }))
    }

    /// Goes on to the next record; `None` at the end of the file.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn advance(&mut self) -> io::Result<Option<Outcome>> {
        self.skip_blank_lines()?;
        self.line = self.next_line;
        let (mut written, mut ended) = (0, 0);
        let mut outcome = Outcome::Read;
        loop {
            if self.at == self.filled {
                self.refill()?;
            }
            let (result, read, wrote, ends) = self.core.read_record(
                &self.input[self.at..self.filled],
                &mut self.output[written..],
                &mut self.ends[ended..],
            );
            self.count_lines(self.at, self.at + read);
            self.at += read;
            written += wrote;
            ended += ends;
            match result {
                ReadRecordResult::InputEmpty => {}
                // What is too long is still read to its end, so that the next record is found.
                ReadRecordResult::OutputFull if self.output.len() >= LONGEST => {
                    outcome = Outcome::TooLong;
                    written = 0;
                }
                ReadRecordResult::OutputFull => {
                    let doubled = self.output.len() * 2;
                    self.output.resize(doubled, 0);
                }
                ReadRecordResult::OutputEndsFull => {
                    outcome = Outcome::TooManyFields;
                    ended = 0;
                }
                ReadRecordResult::Record => {
                    self.fields = if outcome == Outcome::Read { ended } else { 0 };
                    return Ok(Some(outcome));
                }
                ReadRecordResult::End => return Ok(None),
            }
        }
    }

    /// The line on which the record begins, from 1.
    pub fn line(&self) -> u32 {
        self.line
    }

    /// The fields of a record that was [`Outcome::Read`]; some may be no UTF-8.
    pub fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let ends = &self.ends[..self.fields];
        let starts = std::iter::once(0).chain(ends.iter().copied());
        starts
            .zip(ends)
            .map(|(start, end)| &self.output[start..*end])
    }

    fn refill(&mut self) -> io::Result<()> {
        self.at = 0;
        self.filled = fill(&mut self.source, &mut self.input)?;
        Ok(())
    }

    fn skip_blank_lines(&mut self) -> io::Result<()> {
        loop {
            if self.at == self.filled {
                self.refill()?;
            }
            let rest = &self.input[self.at..self.filled];
            let blank = rest
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                .count();
            let is_done = blank < rest.len() || rest.is_empty();
            self.count_lines(self.at, self.at + blank);
            self.at += blank;
            if is_done {
                return Ok(());
            }
        }
    }

    /// A line ends with LF, CR or both.
    fn count_lines(&mut self, from: usize, to: usize) {
        for byte in &self.input[from..to] {
            if *byte == b'\r' || (*byte == b'\n' && !self.after_return) {
                self.next_line = self.next_line.saturating_add(1);
            }
            self.after_return = *byte == b'\r';
        }
    }
}

/// Fills as much of the buffer as there is.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// What parts the fields of the first line that has any: a comma, a semicolon (spreadsheets where the comma is the
/// decimal sign) or a tab, whichever there is most of outside of quotes.
fn delimiter(start: &[u8]) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    let mut is_quoted = false;
    // The reader passes over blank lines, too.
    let blank = start
        .iter()
        .take_while(|byte| matches!(byte, b'\r' | b'\n'));
    for byte in &start[blank.count()..] {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\r' | b'\n' if !is_quoted => break,
            byte if !is_quoted => {
                for (known, count) in &mut counts {
                    *count += u32::from(known == byte);
                }
            }
            _ => {}
        }
    }
    counts
        .into_iter()
        .rev()
        .max_by_key(|(_, count)| *count)
        .map_or(b',', |(byte, _)| byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Line, outcome and fields of every record.
    fn all(text: &[u8]) -> Vec<(u32, Outcome, Vec<String>)> {
        let mut records = Records::open(text).unwrap().unwrap();
        let mut found = Vec::new();
        while let Some(outcome) = records.advance().unwrap() {
            let fields = records
                .fields()
                .map(|field| String::from_utf8_lossy(field).into_owned())
                .collect();
            found.push((records.line(), outcome, fields));
        }
        found
    }

    fn fields(text: &str) -> Vec<Vec<String>> {
        all(text.as_bytes())
            .into_iter()
            .map(|(_, _, fields)| fields)
            .collect()
    }

    #[test]
    fn the_delimiter_is_found() {
        for text in [
            "a,b\n1,2",
            "a;b\r\n1;2\r\n",
            "\u{FEFF}a\tb\n1\t2\n",
            "\"a\",b\r1,2",
            "\na;b\n1;2",
            "\r\n\r\na\tb\n1\t2",
        ] {
            assert_eq!(fields(text), [["a", "b"], ["1", "2"]], "{text:?}");
        }
        assert_eq!(fields("\"a;;;\",b\n"), [["a;;;", "b"]]);
        assert_eq!(fields("email\nx;y"), [["email"], ["x;y"]]);
    }

    #[test]
    fn lines_are_where_an_editor_shows_them() {
        let lines = |text: &str| {
            all(text.as_bytes())
                .iter()
                .map(|(line, ..)| *line)
                .collect::<Vec<_>>()
        };
        assert_eq!(lines("a,b\n\n\n\"1\n2\",3\nx,y\n\n\n\nz,z"), [1, 4, 6, 10]);
        assert_eq!(lines("a,b\r\n\"1\r\n2\",3\r\nx,y\r\n"), [1, 2, 4]);
        assert_eq!(lines("a,b\r\"1\r2\",3\rx,y"), [1, 2, 4]);
    }

    #[test]
    fn what_is_too_big_is_passed_over() {
        let text = format!(
            "a,b\n1,2\n{},x\n3,4\n{}\n5,6",
            "x".repeat(50_000_000),
            ",".repeat(1_000)
        );
        let found = all(text.as_bytes());
        let outcomes: Vec<_> = found
            .iter()
            .map(|(line, outcome, _)| (*line, outcome))
            .collect();
        use Outcome::{Read, TooLong, TooManyFields};
        assert_eq!(
            outcomes,
            [
                (1, &Read),
                (2, &Read),
                (3, &TooLong),
                (4, &Read),
                (5, &TooManyFields),
                (6, &Read)
            ]
        );
        assert_eq!(found[3].2, ["3", "4"]);
        assert_eq!(found[5].2, ["5", "6"]);
    }

    #[test]
    fn another_encoding_is_named() {
        assert!(Records::open(&[0xFF, 0xFE, b'a', 0][..]).unwrap().is_err());
        assert!(all(b"").is_empty());
        assert!(all(b"\n\r\n").is_empty());
    }

    proptest! {
        #[test]
        fn what_a_csv_library_writes_is_read_back(
            rows in proptest::collection::vec(proptest::collection::vec("[a-z,;\"\n\r\té ]{0,9}", 3), 1..40),
            windows: bool,
        ) {
            let terminator = if windows { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
            let mut writer = csv::WriterBuilder::new().terminator(terminator).from_writer(Vec::new());
            writer.write_record(["one", "two", "three"]).unwrap();
            for row in &rows {
                writer.write_record(row).unwrap();
            }
            let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
            let read = fields(&text);
            prop_assert_eq!(&read[1..], &rows[..]);
        }

        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            all(&bytes);
        }
    }
}
