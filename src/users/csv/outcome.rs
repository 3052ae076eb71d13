//! What came of reading a record, and how large one may be. Pure.

use crate::model::wire::Flaw;

/// More bytes than any record needs.
pub(super) const LONGEST: usize = 1024 * 1024;
/// Columns of a file: what an export may have at most, and ten times what one user has.
pub const MOST_FIELDS: usize = 500;
/// A byte-order mark in UTF-8.
pub(super) const MARK: &[u8] = "\u{FEFF}".as_bytes();

/// Whether the record could be read; then [`super::records::Records::fields`] has its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Read,
    TooLong,
    TooManyFields,
    /// A quote is opened on this line and never closed: the rest of the file is in it.
    Unclosed,
    /// Behind a quote's end there is more text before the cell's.
    BehindQuote,
    /// The header, once more.
    RepeatedHeader,
    /// The record is one cell that reads as several.
    QuotedLine,
}

impl Outcome {
    /// What is wrong with a record that was not read.
    pub fn flaw(&self) -> Option<Flaw> {
        Some(match self {
            Self::Read => return None,
            Self::TooLong => Flaw::new(
                "record_too_long",
                "is longer than a record can be (1 MiB); in CSV, perhaps a closing quote is missing",
            ),
            Self::TooManyFields => Flaw::new(
                "too_many_columns",
                format!("has more than {MOST_FIELDS} cells"),
            ),
            Self::Unclosed => Flaw::new(
                "unclosed_quote",
                "a quote is opened and not closed; nothing behind it was taken. Close it, or write a quote that \
                 belongs to a cell twice, in quotes",
            ),
            Self::BehindQuote => Flaw::new(
                "text_behind_quote",
                "text stands behind a closing quote; write a quote that belongs to a cell twice, in quotes \
                 (`\"13\"\" screen\"`)",
            ),
            Self::RepeatedHeader => Flaw::new(
                "repeated_header",
                "repeats the header; leave it out, it is no user",
            ),
            Self::QuotedLine => Flaw::new(
                "line_in_quotes",
                "is one cell that reads as a line of several; a spreadsheet program writes it so when it has opened the \
                 file with another separator. Open it again with the right one (*Data → From Text/CSV*) and save it",
            ),
        })
    }
}
