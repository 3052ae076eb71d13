//! The records of CSV (RFC 4180). Read here and not by a library: those take anything, so that a quote which is
//! never closed becomes a cell with the rest of the file in it.

use std::io::{self, ErrorKind, Read};

use memchr::{memchr, memchr3};

use super::outcome::{LONGEST, MARK, MOST_FIELDS, Outcome};

const BUFFER: usize = 64 * 1024;
/// What old programs write behind the end of a text.
const PADDING: &[u8] = b"\0\x1A";

/// Reads records one by one.
pub(super) struct TextRecords<R> {
    source: R,
    delimiter: u8,
    input: Box<[u8]>,
    at: usize,
    filled: usize,
    /// The line of the next byte, from 1.
    next_line: u32,
    after_return: bool,
    /// The line on which the record, or its bad quote, begins.
    line: u32,
    output: Vec<u8>,
    ends: Vec<usize>,
}

impl<'a> TextRecords<&'a [u8]> {
    /// The records of a text that is here, without a word about itself in front.
    pub(super) fn of(text: &'a [u8], delimiter: u8) -> Self {
        Self {
            source: &[],
            delimiter,
            input: text.into(),
            at: 0,
            filled: text.len(),
            next_line: 1,
            after_return: false,
            line: 1,
            output: Vec::new(),
            ends: Vec::new(),
        }
    }
}

/// Where in a cell the next byte is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At its begin; blanks and marks may come before a quote.
    Begin,
    Plain,
    Quoted,
    /// Behind a quote: another one makes them a quote that belongs to the cell.
    Quote,
    /// Behind a quote and blanks.
    Behind,
}

/// What is known of a record while it is read.
struct Reading {
    place: Place,
    outcome: Outcome,
    /// The line of the quote that was opened last, and of the first one with text behind it.
    quote_line: u32,
    bad_line: u32,
}

impl<R: Read> TextRecords<R> {
    /// Begins a file: skips a byte-order mark. `begin` finds out what parts its cells, and how much stands before its header.
    pub(super) fn open(mut source: R, begin: fn(&[u8]) -> (u8, usize)) -> io::Result<Self> {
        let mut input = vec![0; BUFFER].into_boxed_slice();
        let filled = fill(&mut source, &mut input)?;
        let mut at = 0;
        while input[at..filled].starts_with(MARK) {
            at += MARK.len();
        }
        let (delimiter, length) = begin(&input[at..filled]);
        at += length;
        Ok(Self {
            source,
            delimiter,
            input,
            at,
            filled,
            next_line: 1,
            after_return: false,
            line: 1,
            output: Vec::with_capacity(4 * 1024),
            ends: Vec::with_capacity(MOST_FIELDS),
        })
    }

    pub(super) fn delimiter(&self) -> u8 {
        self.delimiter
    }

    /// Goes on to the next record; `None` at the end of the file.
    pub(super) fn advance(&mut self) -> io::Result<Option<Outcome>> {
        self.output.clear();
        self.ends.clear();
        if !self.skip_blank_lines()? {
            return Ok(None);
        }
        self.line = self.next_line;
        let mut reading = Reading {
            place: Place::Begin,
            outcome: Outcome::Read,
            quote_line: self.line,
            bad_line: self.line,
        };
        loop {
            if self.at == self.filled {
                self.refill()?;
                if self.filled == 0 {
                    if reading.place == Place::Quoted {
                        reading.outcome = Outcome::Unclosed;
                        reading.bad_line = reading.quote_line;
                    } else if matches!(reading.place, Place::Begin | Place::Plain)
                        && self.is_padding()
                    {
                        return Ok(None);
                    }
                    self.end_cell(&mut reading);
                    break;
                }
            }
            if self.step(&mut reading) {
                break;
            }
        }
        if matches!(reading.outcome, Outcome::Unclosed | Outcome::BehindQuote) {
            self.line = reading.bad_line;
        }
        if reading.outcome != Outcome::Read {
            self.ends.clear();
        }
        Ok(Some(reading.outcome))
    }

    pub(super) fn line(&self) -> u32 {
        self.line
    }

    /// The cells in one, and where each ends.
    pub(super) fn cells(&self) -> (&[u8], &[usize]) {
        (&self.output, &self.ends)
    }

    /// Takes some bytes; whether the record ends with them.
    fn step(&mut self, reading: &mut Reading) -> bool {
        let byte = self.input[self.at];
        match reading.place {
            Place::Plain => {
                let rest = &self.input[self.at..self.filled];
                let end = memchr3(self.delimiter, b'\r', b'\n', rest);
                self.take(end.unwrap_or(rest.len()), reading);
                end.is_some() && self.end(reading)
            }
            Place::Quoted => {
                let from = self.at;
                let rest = &self.input[from..self.filled];
                let end = memchr(b'"', rest);
                self.take(end.unwrap_or(rest.len()), reading);
                self.count_lines(from, self.at);
                if end.is_some() {
                    self.at += 1;
                    self.after_return = false;
                    reading.place = Place::Quote;
                }
                false
            }
            _ if byte == self.delimiter || matches!(byte, b'\r' | b'\n') => self.end(reading),
            Place::Begin if byte == b'"' && self.is_begun_blank() => {
                let begin = self.ends.last().copied().unwrap_or(0);
                self.output.truncate(begin);
                self.at += 1;
                reading.quote_line = self.next_line;
                reading.place = Place::Quoted;
                false
            }
            Place::Begin if is_blank(byte) => {
                self.take(1, reading);
                false
            }
            Place::Begin => {
                reading.place = Place::Plain;
                false
            }
            Place::Quote if byte == b'"' => {
                self.take(1, reading);
                reading.place = Place::Quoted;
                false
            }
            Place::Quote | Place::Behind if is_blank(byte) || PADDING.contains(&byte) => {
                self.at += 1;
                reading.place = Place::Behind;
                false
            }
            Place::Quote | Place::Behind => {
                if reading.outcome == Outcome::Read {
                    reading.outcome = Outcome::BehindQuote;
                    reading.bad_line = reading.quote_line;
                }
                reading.place = Place::Plain;
                false
            }
        }
    }

    /// The cell ends with the next byte; whether the record does, too.
    fn end(&mut self, reading: &mut Reading) -> bool {
        self.end_cell(reading);
        let is_last = self.input[self.at] != self.delimiter;
        if is_last {
            self.count_lines(self.at, self.at + 1);
        }
        self.at += 1;
        reading.place = Place::Begin;
        is_last
    }

    fn end_cell(&mut self, reading: &mut Reading) {
        if self.ends.len() < MOST_FIELDS {
            self.ends.push(self.output.len());
        } else if reading.outcome == Outcome::Read {
            reading.outcome = Outcome::TooManyFields;
        }
    }

    /// Adds so many bytes to the cell. What is wrong already is still read to its end, so that the next record is
    /// found, but not kept.
    fn take(&mut self, count: usize, reading: &mut Reading) {
        let bytes = &self.input[self.at..self.at + count];
        if self.output.len() + count > LONGEST && reading.outcome == Outcome::Read {
            reading.outcome = Outcome::TooLong;
        }
        if reading.outcome == Outcome::Read {
            self.output.extend_from_slice(bytes);
        }
        self.at += count;
    }

    /// Whether nothing but blanks and marks of the cell was read.
    fn is_begun_blank(&self) -> bool {
        let begin = self.ends.last().copied().unwrap_or(0);
        let cell = self.output.get(begin..).unwrap_or_default();
        str::from_utf8(cell)
            .is_ok_and(|text| text.chars().all(|c| matches!(c, ' ' | '\t' | '\u{FEFF}')))
    }

    /// Takes what stands behind the end off the last cell; whether that was all of its record.
    fn is_padding(&mut self) -> bool {
        let begin = self.ends.last().copied().unwrap_or(0);
        let length = self.output.len();
        let kept = self.output[begin..]
            .iter()
            .rposition(|byte| !PADDING.contains(byte));
        self.output
            .truncate(kept.map_or(begin, |last| begin + last + 1));
        self.output.len() < length && self.output.is_empty() && self.ends.is_empty()
    }

    fn refill(&mut self) -> io::Result<()> {
        self.at = 0;
        self.filled = fill(&mut self.source, &mut self.input)?;
        Ok(())
    }

    /// Whether there is anything behind them.
    fn skip_blank_lines(&mut self) -> io::Result<bool> {
        loop {
            if self.at == self.filled {
                self.refill()?;
            }
            let rest = &self.input[self.at..self.filled];
            let blank = rest
                .iter()
                .take_while(|byte| matches!(byte, b'\r' | b'\n'))
                .count();
            let (is_any, is_end) = (blank < rest.len(), rest.is_empty());
            self.count_lines(self.at, self.at + blank);
            self.at += blank;
            if is_any || is_end {
                self.after_return = false;
                return Ok(is_any);
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

/// Whether a cell holds a delimiter as a table has them: people write a blank behind a comma.
pub(super) fn is_bare_in(cell: &[u8], delimiter: u8) -> bool {
    let behind = cell.split(|byte| *byte == delimiter).skip(1);
    let mut behind = behind.filter(|rest| !rest.starts_with(b" "));
    behind.next().is_some()
}

/// A space, a tab, or a byte of a mark.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t') || MARK.contains(&byte)
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

#[cfg(test)]
mod tests;
