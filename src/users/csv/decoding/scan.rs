//! How much of a file is UTF-8.

use std::io::{self, Read, Seek, SeekFrom};

use memchr::memmem;

use super::charset::Charset;
use crate::model::wire::Flaw;

/// Bytes that are read in one go.
pub(super) const BUFFER: usize = 64 * 1024;

/// How much of a file is UTF-8.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Scan {
    /// Valid sequences of more than one byte.
    pub(super) letters: usize,
    /// Those among them that are no chance: letters of Latin and all of three or four bytes, in words of good ones.
    pub(super) likely: usize,
    /// Invalid ones.
    pub(super) bad: usize,
    /// Bad halves of a letter beyond 16 bits, each a letter of its own.
    halves: usize,
    /// Whether it ends within a letter.
    is_cut: bool,
    has_zeros: bool,
    /// Whether it changes its alphabet with escapes.
    pub(super) is_escaped: bool,
}

impl Scan {
    pub(super) fn of(source: &mut (impl Read + Seek)) -> io::Result<Self> {
        source.seek(SeekFrom::Start(0))?;
        let mut scan = Self::default();
        let mut buffer = Vec::with_capacity(BUFFER);
        loop {
            let room = (BUFFER - buffer.len()) as u64;
            let is_end = source.by_ref().take(room).read_to_end(&mut buffer)? == 0;
            let kept = scan.take(&buffer, is_end);
            buffer.drain(..buffer.len() - kept);
            if is_end {
                return Ok(scan);
            }
        }
    }

    /// How many bytes at the end begin a sequence that goes on.
    pub(super) fn take(&mut self, mut bytes: &[u8], is_end: bool) -> usize {
        self.has_zeros |= memchr::memchr(0, bytes).is_some();
        self.is_escaped |= memmem::find(bytes, b"\x1B$").is_some();
        let mut is_bad = false;
        loop {
            let error = match str::from_utf8(bytes) {
                Ok(text) => {
                    self.count(text.as_bytes(), is_bad, false);
                    return 0;
                }
                Err(error) => error,
            };
            let (valid, rest) = bytes.split_at(error.valid_up_to());
            let is_over = is_end || error.error_len().is_some();
            self.count(valid, is_bad, is_over);
            match error.error_len() {
                None if !is_end => return rest.len(),
                length => {
                    is_bad = true;
                    self.bad += 1;
                    self.halves += usize::from(matches!(rest, [0xED, 0xA0..=0xBF, ..]));
                    // One byte at the end of `André` is a letter of an older encoding.
                    let is_letter = rest.len() == 1 && rest[0] > 0xC5;
                    self.is_cut |= length.is_none() && !is_letter;
                    bytes = &rest[length.unwrap_or(rest.len())..];
                }
            }
        }
    }

    /// Counts valid text, between bad bytes or none.
    fn count(&mut self, text: &[u8], is_behind_bad: bool, is_before_bad: bool) {
        if text.is_ascii() {
            return;
        }
        self.letters += letters(text);
        let (first, last) = (
            text.iter().position(u8::is_ascii),
            text.iter().rposition(u8::is_ascii),
        );
        let begin = if is_behind_bad { first } else { Some(0) };
        let end = if is_before_bad {
            last
        } else {
            Some(text.len())
        };
        let words = begin.zip(end).and_then(|(begin, end)| text.get(begin..end));
        let words = words.unwrap_or_default().iter();
        self.likely += words.filter(|byte| is_likely(**byte)).count();
    }

    /// Whether a file is UTF-8, whatever was said: bytes of other encodings hardly ever form a letter that is used,
    /// a few pairs do, and no file does throughout.
    pub(super) fn is_plainly_utf8(&self, said: Charset) -> bool {
        self.bad == 0 && (self.letters > 3 || (said.is_single_byte() && self.likely > 0))
    }

    /// What is plainly wrong with a file that is hardly any UTF-8.
    pub(super) fn flaw(&self) -> Option<Flaw> {
        if self.letters == 0 && self.has_zeros {
            return Some(no_text());
        }
        if self.is_cut && self.bad == 1 {
            return Some(Flaw::new(
                "cut_off",
                "the file ends within a character, so it is not here in full; send the whole file",
            ));
        }
        (self.halves * 3 == self.bad).then(|| {
            Flaw::new(
                "unsupported_encoding",
                "the file is CESU-8, as some databases write it: a letter such as an emoji is two in it; save it as CSV \
                 UTF-8",
            )
        })
    }
}

/// Whether a byte begins a sequence that hardly any older encoding has by chance: what pairs of bytes there become are
/// mostly letters of scripts that nobody mixes.
fn is_likely(byte: u8) -> bool {
    matches!(byte, 0xC3..=0xC5 | 0xE0..)
}

/// Sequences of more than one byte in UTF-8.
pub(super) fn letters(text: &[u8]) -> usize {
    if text.is_ascii() {
        return 0;
    }
    text.iter().filter(|byte| **byte >= 0xC0).count()
}

pub(super) fn no_text() -> Flaw {
    Flaw::new(
        "not_a_table",
        "the file is no text and no workbook; save it as CSV UTF-8 or as .xlsx",
    )
}
