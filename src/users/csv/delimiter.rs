//! How a text of a table begins, and what parts the cells of its records.

use super::{
    columns::of_attribute,
    folded::Folded,
    known::{ATTRIBUTE, Known},
    outcome::Outcome,
    synonyms::field_of,
    text::TextRecords,
};

/// What parts cells: a comma, a semicolon (spreadsheets where the comma is the decimal sign), a tab or a bar.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// What stands before the header, and how long that is.
pub(super) fn begin(start: &[u8]) -> (u8, usize) {
    let line = first_line(start);
    if line.starts_with(b"#TYPE ") {
        // PowerShell says what it has exported.
        return (seen(&start[line.len()..]).byte, line.len());
    }
    let Some(said) = said(line) else {
        return (seen(start).byte, 0);
    };
    let rest = &start[line.len()..];
    let is_right = Header::of(rest, said).cells.len() > 1;
    let seen = seen(rest);
    let byte = if is_right || seen.cells.len() < 2 {
        said
    } else {
        seen.byte
    };
    (byte, line.len())
}

/// Whether a text begins with a header of several columns, one of them people's addresses: then it is a table, whatever it
/// is sent as.
pub fn is_table(start: &[u8]) -> bool {
    let header = seen(start);
    let has_address = header.cells.iter().any(|cell| cell.contains('@'));
    header.cells.len() > 1
        && !has_address
        && header
            .cells
            .iter()
            .any(|cell| field(cell) == Some(Known::Email))
}

/// The field that a column is by its name alone.
fn field(cell: &str) -> Option<Known> {
    let name = Folded::of(cell);
    Known::of_key(&name.whole).or_else(|| field_of(&name))
}

fn first_line(start: &[u8]) -> &[u8] {
    let end = memchr::memchr2(b'\r', b'\n', start);
    &start[..end.unwrap_or(start.len())]
}

/// What a first line `sep=;` says, as some spreadsheets want it; a tab may be written `\t`.
fn said(line: &[u8]) -> Option<u8> {
    let line = str::from_utf8(line).ok()?;
    let line = line
        .strip_prefix('"')
        .and_then(|line| line.strip_suffix('"'))
        .unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    if !name.trim().eq_ignore_ascii_case("sep") {
        return None;
    }
    let value = match value.trim_matches(' ') {
        "\\t" => "\t",
        "" => value,
        trimmed => trimmed,
    };
    let [delimiter] = value.as_bytes() else {
        return None;
    };
    let is_delimiter = matches!(delimiter, b'\t' | b' '..=b'~')
        && !delimiter.is_ascii_alphanumeric()
        && *delimiter != b'"';
    is_delimiter.then_some(*delimiter)
}

/// The header as a delimiter parts it.
pub(super) struct Header {
    pub(super) byte: u8,
    pub(super) cells: Vec<String>,
    /// Whether there are too many to be read.
    is_too_wide: bool,
}

impl Header {
    /// The first record that is not blank.
    fn of(text: &[u8], byte: u8) -> Self {
        let mut records = TextRecords::of(text, byte);
        let mut cells = Vec::new();
        let mut is_too_wide = false;
        while let Ok(Some(outcome)) = records.advance() {
            if outcome != Outcome::Read {
                is_too_wide = outcome == Outcome::TooManyFields;
                break;
            }
            let (output, ends) = records.cells();
            let starts = std::iter::once(0).chain(ends.iter().copied());
            cells = starts
                .zip(ends)
                .map(|(start, end)| String::from_utf8_lossy(&output[start..*end]).into_owned())
                .collect();
            if cells.iter().any(|cell| !cell.trim().is_empty()) {
                break;
            }
        }
        Self {
            byte,
            cells,
            is_too_wide,
        }
    }

    /// Whether a column says who somebody is.
    pub(super) fn names_people(&self) -> bool {
        self.cells
            .iter()
            .any(|cell| matches!(field(cell), Some(Known::Username | Known::Email)))
    }

    /// How many columns are known; `of_attribute` marks what an attribute cannot be called.
    fn known(&self) -> usize {
        let is_known = |cell: &&String| of_attribute(cell.trim()).starts_with(ATTRIBUTE);
        self.cells.iter().filter(is_known).count()
    }

    /// Cells that stand right behind a delimiter: in a name such as `Last name, First name` there is a blank.
    fn bare(&self) -> usize {
        let behind = self.cells.iter().skip(1);
        behind.filter(|cell| !cell.starts_with(' ')).count()
    }
}

/// The header as it is understood best: by which the columns are known, else of which there are most.
pub(super) fn seen(text: &[u8]) -> Header {
    let headers = DELIMITERS.map(|byte| Header::of(text, byte));
    let mut best: Option<Header> = None;
    for header in headers {
        let rank = |header: &Header| {
            let count = header.cells.len();
            (
                header.names_people(),
                header.known(),
                header.is_too_wide,
                header.bare(),
                count,
            )
        };
        if best.as_ref().is_none_or(|best| rank(&header) > rank(best)) {
            best = Some(header);
        }
    }
    best.unwrap_or_else(|| Header::of(text, b','))
}
