//! What a file is written in: its encoding, said or seen, and UTF-8 made of it.

use std::io::{self, Read, Seek, SeekFrom, Write};

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{DecoderResult, Encoding, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE};
use memchr::memmem;

use super::outcome::MARK;
use crate::model::wire::Flaw;

/// How much is looked at for what a file is.
const START: u64 = 1024;
const BUFFER: usize = 64 * 1024;
/// As much text is enough to guess from.
const ENOUGH: usize = 1024 * 1024;
/// What stands in for bytes that are no text: no UTF-8 either, so that it is the fault of its cell.
const NO_TEXT: u8 = 0xFF;

/// The charsets that are known, for people.
pub const KNOWN: &str = "utf-8, utf-16le, utf-16be, windows-1250 to windows-1258, windows-874, iso-8859-1 to iso-8859-16, \
    koi8-r, koi8-u, ibm866, macintosh, shift_jis, euc-jp, iso-2022-jp, euc-kr, gbk, gb18030 and big5";

/// The encoding of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charset(&'static Encoding);

impl Charset {
    /// The one that a name stands for.
    pub fn named(name: &str) -> Option<Self> {
        let name = name.trim();
        if name.eq_ignore_ascii_case("us-ascii") || name.eq_ignore_ascii_case("ascii") {
            return Some(Self(UTF_8));
        }
        Encoding::for_label_no_replacement(name.as_bytes())
            .filter(|encoding| encoding.name() != "x-user-defined")
            .map(Self)
    }

    /// Its name, as `charset=` says it.
    pub fn name(self) -> String {
        self.0.name().to_ascii_lowercase()
    }

    /// Whether it is what a file is read as in any case.
    pub fn is_usual(self) -> bool {
        self.0 == UTF_8
    }

    fn is_single_byte(self) -> bool {
        self.0.is_single_byte()
    }
}

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
    let said = said.filter(|charset| !charset.is_usual());
    let scan = Scan::of(source)?;
    Ok(match said {
        // Letters of a single byte each hardly ever look like UTF-8, a few pairs do, and no file throughout.
        Some(charset)
            if scan.bad == 0 && scan.letters > if charset.is_single_byte() { 0 } else { 3 } =>
        {
            Content::Guessed(Charset(UTF_8))
        }
        Some(charset) => Content::Encoded(charset),
        None if scan.bad == 0 && scan.letters == 0 && scan.is_escaped => {
            Content::Guessed(Charset(ISO_2022_JP))
        }
        None if scan.bad == 0 => Content::Utf8,
        None if scan.letters == 0 && scan.has_zeros => Content::Refused(no_text()),
        None if scan.letters == 0 => Content::Guessed(guess(source)?),
        // Pairs of bytes look like UTF-8 now and then; whoever has some bad cells has mostly good ones.
        None if scan.bad > scan.letters => {
            let guessed = guess(source)?;
            source.seek(SeekFrom::Start(0))?;
            let is_right =
                !guessed.is_single_byte() && transcode(source, guessed, &mut io::sink())?.bad == 0;
            if is_right {
                Content::Guessed(guessed)
            } else {
                Content::Utf8
            }
        }
        None => Content::Utf8,
    })
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
        _ if start.starts_with(MARK) => Some(Content::Utf8),
        [0xFF, 0xFE, ..] => Some(Content::Encoded(Charset(UTF_16LE))),
        [0xFE, 0xFF, ..] => Some(Content::Encoded(Charset(UTF_16BE))),
        _ => by_zeros(start).map(|encoding| Content::Encoded(Charset(encoding))),
    })
}

fn no_text() -> Flaw {
    Flaw::new(
        "not_a_table",
        "the file is no text and no workbook; save it as CSV UTF-8 or as .xlsx",
    )
}

fn utf16le(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_le_bytes).collect()
}

/// UTF-16 without a mark: every separator, digit and line end has a byte that is zero, always on the same side.
fn by_zeros(start: &[u8]) -> Option<&'static Encoding> {
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
        Some(UTF_16LE)
    } else if is_side(0, first, second) {
        Some(UTF_16BE)
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

/// How much of a file is UTF-8.
#[derive(Debug, Default, PartialEq, Eq)]
struct Scan {
    /// Valid sequences of more than one byte.
    letters: usize,
    /// Invalid ones.
    bad: usize,
    has_zeros: bool,
    /// Whether it changes its alphabet with escapes.
    is_escaped: bool,
}

impl Scan {
    fn of(source: &mut (impl Read + Seek)) -> io::Result<Self> {
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
    fn take(&mut self, mut bytes: &[u8], is_end: bool) -> usize {
        self.has_zeros |= memchr::memchr(0, bytes).is_some();
        self.is_escaped |= memmem::find(bytes, b"\x1B$").is_some();
        loop {
            let error = match str::from_utf8(bytes) {
                Ok(text) => {
                    self.letters += letters(text.as_bytes());
                    return 0;
                }
                Err(error) => error,
            };
            let (valid, rest) = bytes.split_at(error.valid_up_to());
            self.letters += letters(valid);
            match error.error_len() {
                None if !is_end => return rest.len(),
                length => {
                    self.bad += 1;
                    bytes = &rest[length.unwrap_or(rest.len())..];
                }
            }
        }
    }
}

/// Sequences of more than one byte in UTF-8.
fn letters(text: &[u8]) -> usize {
    if text.is_ascii() {
        return 0;
    }
    text.iter().filter(|byte| **byte >= 0xC0).count()
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
    Ok(Charset(detector.guess(None, Utf8Detection::Deny)))
}

/// What came of a text that was made UTF-8.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Transcoded {
    /// Letters beyond ASCII.
    letters: usize,
    /// Bytes that are no text.
    bad: usize,
}

impl Transcoded {
    /// Whether the file was in another encoding altogether: one fault, not one for each of its cells. UTF-16 is seen,
    /// so its end may be cut off, but it is nothing else.
    pub fn refusal(&self, charset: Charset) -> Option<Flaw> {
        let detail = || {
            format!(
                "the file is not {}: {} places in it are no text. Say which `charset` it has ({KNOWN}), or save it as \
                 CSV UTF-8",
                charset.name(),
                self.bad
            )
        };
        let is_utf16 = charset.0 == UTF_16LE || charset.0 == UTF_16BE;
        let is_much = match self.bad {
            0 => false,
            1 => self.letters <= 1,
            // Of bytes that mean something else, many are text by chance.
            bad => bad * 10 >= self.letters,
        };
        (!is_utf16 && is_much).then(|| Flaw::new("wrong_charset", detail()))
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
    let mut decoder = charset.0.new_decoder_with_bom_removal();
    let mut done = Transcoded::default();
    let mut input = Vec::with_capacity(BUFFER);
    let mut output = vec![0; BUFFER];
    loop {
        input.clear();
        let is_end = source
            .by_ref()
            .take(BUFFER as u64)
            .read_to_end(&mut input)?
            == 0;
        let mut rest = &input[..];
        loop {
            let (result, read, written) =
                decoder.decode_to_utf8_without_replacement(rest, &mut output, is_end);
            rest = &rest[read..];
            done.letters += letters(&output[..written]);
            sink.write_all(&output[..written])?;
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    done.bad += 1;
                    sink.write_all(&[NO_TEXT])?;
                }
            }
        }
        if is_end {
            return Ok(done);
        }
    }
}

#[cfg(test)]
mod tests;
