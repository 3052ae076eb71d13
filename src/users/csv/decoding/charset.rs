//! The encodings of text: what they are called, and how UTF-8 is made of them. Pure.

use encoding_rs::{Decoder, DecoderResult, Encoding, SHIFT_JIS, UTF_8, UTF_16BE, UTF_16LE};
use yore::{CodePage, code_pages};

/// The charsets that are known, for people.
pub const KNOWN: &str = "utf-8, utf-16le, utf-16be, windows-1250 to windows-1258, windows-874, iso-8859-1 to iso-8859-16, \
    koi8-r, koi8-u, macintosh, shift_jis, euc-jp, iso-2022-jp, euc-kr, gbk, gb18030, big5, and of DOS ibm437, ibm737, \
    ibm850, ibm852, ibm855, ibm857, ibm860, ibm861, ibm862, ibm863, ibm865 and ibm866";
/// Names that say nothing: UTF-8 as some programs call it, plain ASCII, what is another encoding on each machine, and
/// what file(1) says of what it does not know.
const USUAL: &str =
    "utf8 utf8sig utf8bom utf8mb4 unicode11utf8 ascii usascii ansi mbcs binary unknown8bit";
/// What as many bytes as this of a DOS page are made of at a time.
const PIECE: usize = 16 * 1024;

/// The encoding of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charset(Kind);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// One of those that browsers know.
    Web(&'static Encoding),
    /// A code page of DOS, by its number.
    Dos(u16),
}

impl Charset {
    pub(super) const fn of(encoding: &'static Encoding) -> Self {
        Self(Kind::Web(encoding))
    }

    /// The one that a name stands for: one of the web, or a number as systems and languages write it (`cp932`, `ms932`,
    /// `ibm850`, `windows1252`).
    pub fn named(name: &str) -> Option<Self> {
        let letters = name.chars().filter(char::is_ascii_alphanumeric);
        let short: String = letters.collect::<String>().to_ascii_lowercase();
        if USUAL.split(' ').any(|usual| usual == short) {
            return Some(Self::of(UTF_8));
        }
        let known = |label: &str| {
            Encoding::for_label_no_replacement(label.as_bytes())
                .filter(|encoding| encoding.name() != "x-user-defined")
        };
        let encoding = known(name).or_else(|| known(&short));
        match (encoding, &*short) {
            (Some(encoding), _) => Some(Self::of(encoding)),
            (None, "macroman" | "macosroman") => known("macintosh").map(Self::of),
            (None, "utf16le") => Some(Self::of(UTF_16LE)),
            (None, "utf16be") => Some(Self::of(UTF_16BE)),
            (None, _) => Self::numbered(&short),
        }
    }

    fn numbered(name: &str) -> Option<Self> {
        let prefixes = ["cp", "ms", "ibm", "oem", "dos", "windows", "win", ""];
        let digits = prefixes.iter().find_map(|prefix| {
            let digits = name.strip_prefix(prefix)?;
            digits
                .bytes()
                .all(|byte| byte.is_ascii_digit())
                .then_some(digits)
        })?;
        let number = digits.parse().ok()?;
        match number {
            // What the library has of them is what Microsoft made.
            932 => Some(Self::of(SHIFT_JIS)),
            _ if page(number).is_some() => Some(Self(Kind::Dos(number))),
            _ => codepage::to_encoding_no_replacement(number).map(Self::of),
        }
    }

    /// Its name, as `charset=` says it.
    pub fn name(self) -> String {
        match self.0 {
            Kind::Web(encoding) => encoding.name().to_ascii_lowercase(),
            Kind::Dos(number) => format!("ibm{number}"),
        }
    }

    /// Whether it is what a file is read as in any case.
    pub fn is_usual(self) -> bool {
        self == Self::of(UTF_8)
    }

    pub(super) fn is_utf16(self) -> bool {
        self == Self::of(UTF_16LE) || self == Self::of(UTF_16BE)
    }

    pub(super) fn is_single_byte(self) -> bool {
        match self.0 {
            Kind::Web(encoding) => encoding.is_single_byte(),
            Kind::Dos(_) => true,
        }
    }

    pub(super) fn decoding(self) -> Decoding {
        match self.0 {
            Kind::Web(encoding) => Decoding::Web {
                decoder: encoding.new_decoder_with_bom_removal(),
                output: vec![0; 4 * PIECE],
            },
            Kind::Dos(number) => Decoding::Dos(number),
        }
    }
}

/// A code page of DOS.
fn page(number: u16) -> Option<&'static dyn CodePage> {
    Some(match number {
        437 => &code_pages::CP437,
        737 => &code_pages::CP737,
        850 => &code_pages::CP850,
        852 => &code_pages::CP852,
        855 => &code_pages::CP855,
        857 => &code_pages::CP857,
        860 => &code_pages::CP860,
        861 => &code_pages::CP861,
        862 => &code_pages::CP862,
        863 => &code_pages::CP863,
        865 => &code_pages::CP865,
        _ => return None,
    })
}

/// A text while it becomes UTF-8.
pub(super) enum Decoding {
    Web { decoder: Decoder, output: Vec<u8> },
    Dos(u16),
}

impl Decoding {
    /// Gives the text of some bytes, in pieces, and nothing for each place that is no text.
    ///
    /// # Errors
    /// Those of `take`.
    pub(super) fn decode<E>(
        &mut self,
        mut bytes: &[u8],
        is_end: bool,
        mut take: impl FnMut(Option<&str>) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Self::Web { decoder, output } => loop {
                let (result, read, written) =
                    decoder.decode_to_utf8_without_replacement(bytes, output, is_end);
                bytes = &bytes[read..];
                take(str::from_utf8(&output[..written]).ok())?;
                match result {
                    DecoderResult::InputEmpty => return Ok(()),
                    DecoderResult::OutputFull => {}
                    DecoderResult::Malformed(..) => take(None)?,
                }
            },
            Self::Dos(number) => {
                while let Some(page) = page(*number)
                    && !bytes.is_empty()
                {
                    let (piece, rest) = bytes.split_at(bytes.len().min(PIECE));
                    match page.decode(piece) {
                        Ok(text) => take(Some(&text))?,
                        Err(error) => {
                            let (sound, bad) = piece.split_at(error.position);
                            take(page.decode(sound).ok().as_deref())?;
                            take(None)?;
                            bytes = &bytes[piece.len() - bad.len() + 1..];
                            continue;
                        }
                    }
                    bytes = rest;
                }
                Ok(())
            }
        }
    }
}
