//! What a file is written in: its encoding, said or seen, and UTF-8 made of it.

mod charset;
mod scan;

use std::io::{self, Read, Seek, SeekFrom, Write};

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE};
use memchr::memmem;

use super::{foreign::foreign, outcome::MARK};
use crate::model::wire::Flaw;

use scan::{BUFFER, Scan, letters, no_text};

pub use charset::{Charset, KNOWN};

/// How much is looked at for what a file is.
const START: u64 = 1024;
/// As much text is enough to guess from.
const ENOUGH: usize = 1024 * 1024;
/// What stands in for bytes that are no text: no UTF-8 either, so that it is the fault of its cell.
const NO_TEXT: u8 = 0xFF;
/// Bad sequences for each good one of a file that is no UTF-8: pairs of bytes look like it now and then.
const BY_FAR: usize = 10;

/// What a file is.
#[derive(Debug, PartialEq, Eq)]
pub enum Content {
    Utf8,
    /// Text in another encoding: its bytes or the client say so.
    Encoded(Charset),
    /// Text in another encoding than was said, or in one that nobody said: this is a guess.
    Guessed(Charset),
    /// A zip archive, as workbooks are.
    Zip,
    /// No table at all.
    Refused(Flaw),
}

/// Finds out what a file is.
///
/// # Errors
/// When it cannot be read.
pub fn look(source: &mut (impl Read + Seek), said: Option<Charset>) -> io::Result<Content> {
    source.seek(SeekFrom::Start(0))?;
    let mut start = Vec::new();
    source.by_ref().take(START).read_to_end(&mut start)?;
    if let Some(content) = by_mark(&start, source)? {
        return Ok(content);
    }
    let scan = Scan::of(source)?;
    if let Some(charset) = said.filter(|charset| !charset.is_usual()) {
        return if scan.is_plainly_utf8(charset) {
            Ok(Content::Guessed(Charset::of(UTF_8)))
        } else {
            as_said(source, charset)
        };
    }
    if scan.bad == 0 {
        let is_escaped = scan.letters == 0 && scan.is_escaped;
        return Ok(if is_escaped {
            Content::Guessed(Charset::of(ISO_2022_JP))
        } else {
            Content::Utf8
        });
    }
    // Whoever has some bad cells has mostly good ones.
    if scan.letters >= scan.bad {
        return Ok(Content::Utf8);
    }
    if let Some(flaw) = scan.flaw() {
        return Ok(Content::Refused(flaw));
    }
    let guessed = guess(source)?;
    let is_right =
        scan.likely == 0 || scan.bad >= BY_FAR * scan.letters || is_sound(source, guessed)?;
    Ok(if is_right {
        Content::Guessed(guessed)
    } else {
        Content::Utf8
    })
}

/// What was said counts, unless some of the file is no text in it, and all is text in another one.
fn as_said(source: &mut (impl Read + Seek), said: Charset) -> io::Result<Content> {
    source.seek(SeekFrom::Start(0))?;
    if transcode(source, said, &mut io::sink())?.no_text() > 0 {
        let guessed = guess(source)?;
        if guessed != said && is_sound(source, guessed)? {
            return Ok(Content::Guessed(guessed));
        }
    }
    Ok(Content::Encoded(said))
}

/// Whether a file is text throughout in an encoding of several bytes for a letter: that is no chance.
fn is_sound(source: &mut (impl Read + Seek), charset: Charset) -> io::Result<bool> {
    source.seek(SeekFrom::Start(0))?;
    Ok(!charset.is_single_byte() && transcode(source, charset, &mut io::sink())?.bad == 0)
}

/// What the first bytes decide.
fn by_mark(start: &[u8], source: &mut (impl Read + Seek)) -> io::Result<Option<Content>> {
    let refused = |code, detail: &str| Some(Content::Refused(Flaw::new(code, detail)));
    Ok(match start {
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Content::Zip),
        [0xD0, 0xCF, 0x11, 0xE0, ..] if holds(source, &utf16le("EncryptedPackage"))? => refused(
            "encrypted_workbook",
            "the file is a workbook with a password; save it without one, as .xlsx or as CSV UTF-8",
        ),
        [0xD0, 0xCF, 0x11, 0xE0, ..] => refused(
            "unsupported_workbook",
            "the file is a workbook of Excel 97 to 2003 (.xls); save it as .xlsx or as CSV UTF-8",
        ),
        [0x1F, 0x8B, ..] | [b'%', b'P', b'D', b'F', ..] | [0x89, b'P', b'N', b'G', ..] => {
            Some(Content::Refused(no_text()))
        }
        _ if let Some(flaw) = foreign(start) => Some(Content::Refused(flaw)),
        _ if start.starts_with(MARK) => Some(Content::Utf8),
        _ if is_utf32(start) => refused(
            "unsupported_encoding",
            "the file is UTF-32, which is not read; save it as CSV UTF-8",
        ),
        [0xFF, 0xFE, ..] => Some(Content::Encoded(Charset::of(UTF_16LE))),
        [0xFE, 0xFF, ..] => Some(Content::Encoded(Charset::of(UTF_16BE))),
        _ => by_zeros(start).map(Content::Encoded),
    })
}

fn utf16le(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// UTF-32: half of each letter is zero, with a mark or without.
fn is_utf32(start: &[u8]) -> bool {
    let (letters, _) = start.as_chunks::<4>();
    let is_text = |c: u32| char::from_u32(c).is_some_and(|c| c != '\0');
    let all = |read: fn([u8; 4]) -> u32| letters.iter().all(|letter| is_text(read(*letter)));
    !letters.is_empty() && (all(u32::from_le_bytes) || all(u32::from_be_bytes))
}

/// UTF-16 without a mark: every separator, digit and line end has a byte that is zero, always on the same side.
fn by_zeros(start: &[u8]) -> Option<Charset> {
    let (pairs, _) = start.as_chunks::<2>();
    let zeros = |side: usize| pairs.iter().filter(|pair| pair[side] == 0).count();
    let parts = |side: usize| {
        pairs.iter().any(|pair| {
            pair[side] == 0 && matches!(pair[1 - side], b'\r' | b'\n' | b'\t' | b',' | b';')
        })
    };
    let (first, second) = (zeros(0), zeros(1));
    let is_side = |side, here: usize, there: usize| {
        here * 10 > pairs.len() && there * 16 <= here && parts(side)
    };
    if is_side(1, second, first) {
        Some(Charset::of(UTF_16LE))
    } else if is_side(0, first, second) {
        Some(Charset::of(UTF_16BE))
    } else {
        None
    }
}

/// Whether some bytes are anywhere in a file.
fn holds(source: &mut (impl Read + Seek), needle: &[u8]) -> io::Result<bool> {
    source.seek(SeekFrom::Start(0))?;
    let finder = memmem::Finder::new(needle);
    let mut buffer = Vec::with_capacity(BUFFER);
    loop {
        let kept = buffer.len().min(needle.len() - 1);
        buffer.drain(..buffer.len() - kept);
        let room = (BUFFER - kept) as u64;
        if source.by_ref().take(room).read_to_end(&mut buffer)? == 0 {
            return Ok(false);
        }
        if finder.find(&buffer).is_some() {
            return Ok(true);
        }
    }
}

fn guess(source: &mut (impl Read + Seek)) -> io::Result<Charset> {
    source.seek(SeekFrom::Start(0))?;
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    let mut buffer = Vec::with_capacity(BUFFER);
    let mut fed = 0;
    while fed < ENOUGH {
        buffer.clear();
        if source
            .by_ref()
            .take(BUFFER as u64)
            .read_to_end(&mut buffer)?
            == 0
        {
            break;
        }
        detector.feed(&buffer, false);
        if !buffer.is_ascii() {
            fed += buffer.len();
        }
    }
    detector.feed(b"", true);
    Ok(Charset::of(detector.guess(None, Utf8Detection::Deny)))
}

/// What came of a text that was made UTF-8.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Transcoded {
    /// Letters beyond ASCII.
    letters: usize,
    /// Bytes that are no text.
    bad: usize,
    /// Control characters beyond ASCII: what older encodings have where they have no letter.
    controls: usize,
}

impl Transcoded {
    fn no_text(&self) -> usize {
        self.bad + self.controls
    }

    /// Whether the file was in another encoding altogether: one fault, not one for each of its cells. UTF-16 is seen,
    /// so its end may be cut off, but it is nothing else.
    pub fn refusal(&self, charset: Charset) -> Option<Flaw> {
        let detail = || {
            format!(
                "the file is not {}: {} places in it are no text. Say which `charset` it has ({KNOWN}), or save it as \
                 CSV UTF-8",
                charset.name(),
                self.no_text()
            )
        };
        let is_much = match self.no_text() {
            0 => false,
            1 => self.letters <= 1,
            // Of bytes that mean something else, many are text by chance.
            bad => bad * 10 >= self.letters,
        };
        (!charset.is_utf16() && is_much).then(|| Flaw::new("wrong_charset", detail()))
    }
}

/// Makes UTF-8 of the rest of a text. Bytes that are none become such that are no UTF-8 either.
///
/// # Errors
/// When it cannot be read or written.
pub fn transcode(
    source: &mut impl Read,
    charset: Charset,
    sink: &mut impl Write,
) -> io::Result<Transcoded> {
    let mut decoding = charset.decoding();
    let mut done = Transcoded::default();
    let mut input = Vec::with_capacity(BUFFER);
    loop {
        input.clear();
        let is_end = source
            .by_ref()
            .take(BUFFER as u64)
            .read_to_end(&mut input)?
            == 0;
        decoding.decode(&input, is_end, |text| {
            let Some(text) = text else {
                done.bad += 1;
                return sink.write_all(&[NO_TEXT]);
            };
            done.letters += letters(text.as_bytes());
            done.controls += controls(text.as_bytes());
            sink.write_all(text.as_bytes())
        })?;
        if is_end {
            return Ok(done);
        }
    }
}

/// Characters from U+0080 to U+009F in UTF-8.
fn controls(text: &[u8]) -> usize {
    memchr::memchr_iter(0xC2, text)
        .filter(|at| matches!(text.get(at + 1), Some(0x80..=0x9F)))
        .count()
}

#[cfg(test)]
mod tests;
