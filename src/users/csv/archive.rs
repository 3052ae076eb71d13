//! What a zip archive unfolds to, counted before anything reads it as a workbook: what it says of itself is not believed.

use std::io::{self, Read, Seek, SeekFrom};

use memchr::memmem;
use zip::{ZipArchive, result::ZipError};

use crate::model::wire::Flaw;

/// All parts together.
const MOST_BYTES: u64 = 64 * 1024 * 1024;
/// To how much a byte may unfold, beyond the first `SMALL` ones of a part.
const MOST_RATIO: u64 = 100;
const SMALL: u64 = 1024 * 1024;
/// Parts: a workbook has some dozens.
const MOST_PARTS: usize = 10_000;
/// The part with the formats of cells; each costs some hundred bytes in memory, and takes its own copies of names.
const MOST_STYLE_BYTES: usize = 8 * 1024 * 1024;
const MOST_STYLES: usize = 250_000;
const MOST_NAME_BYTES: usize = 256 * 1024 * 1024;

/// Reads every part once and throws it away.
///
/// # Errors
/// When the source cannot be read; inside, why it cannot be a workbook to import.
pub(super) fn check(source: &mut (impl Read + Seek)) -> io::Result<Result<(), Flaw>> {
    if parts(source)? > MOST_PARTS {
        return Ok(Err(bomb("has too many parts")));
    }
    source.seek(SeekFrom::Start(0))?;
    Ok(unfold(source).unwrap_or_else(|error| Err(damaged(&error.to_string()))))
}

pub(super) fn damaged(why: &str) -> Flaw {
    let why: String = why.chars().take(200).collect();
    Flaw::new(
        "damaged_workbook",
        format!(
            "the workbook cannot be read ({why}); open it, save it again as .xlsx, or save it as CSV UTF-8"
        ),
    )
}

fn bomb(what: &str) -> Flaw {
    Flaw::new(
        "workbook_too_large",
        format!(
            "the workbook {what}; {} MiB is the most that it may unfold to. Save its first sheet as CSV UTF-8",
            MOST_BYTES / 1024 / 1024
        ),
    )
}

/// How many parts it lists, by their marks: a reader keeps something of each.
fn parts(source: &mut (impl Read + Seek)) -> io::Result<usize> {
    const MARK: &[u8] = b"PK\x01\x02";
    source.seek(SeekFrom::Start(0))?;
    let (mut count, mut buffer) = (0, Vec::new());
    loop {
        let kept = buffer.len().min(MARK.len() - 1);
        buffer.drain(..buffer.len() - kept);
        if source.by_ref().take(64 * 1024).read_to_end(&mut buffer)? == 0 {
            return Ok(count);
        }
        count += memmem::find_iter(&buffer, MARK).count();
    }
}

fn unfold(source: impl Read + Seek) -> Result<Result<(), Flaw>, ZipError> {
    let mut archive = ZipArchive::new(source)?;
    let mut total = 0;
    let (mut is_open, mut is_book, mut is_binary) = (false, false, false);
    for index in 0..archive.len() {
        let mut part = archive.by_index(index)?;
        let name = part.name()?.replace('\\', "/").to_lowercase();
        let packed = part.compressed_size();
        let read = match read(&mut part, &name, MOST_BYTES - total, packed)? {
            Ok(read) => read,
            Err(flaw) => return Ok(Err(flaw)),
        };
        total += read.bytes;
        is_open |= name == "mimetype"
            && read
                .start
                .starts_with(b"application/vnd.oasis.opendocument");
        // Some programs number it.
        is_book |= name.contains("workbook") && name.ends_with(".xml");
        is_binary |= name.ends_with("workbook.bin");
    }
    let refused = |what: &str| {
        let detail = format!("the file is {what}; save it as .xlsx or as CSV UTF-8");
        Ok(Err(Flaw::new("unsupported_workbook", detail)))
    };
    match (is_open, is_binary, is_book) {
        (true, ..) => refused("an OpenDocument file (.ods)"),
        (_, true, _) => refused("a binary workbook (.xlsb)"),
        (.., false) => refused("a zip archive and no workbook"),
        _ => Ok(Ok(())),
    }
}

/// What is known of a part that was read.
struct Part {
    bytes: u64,
    start: Vec<u8>,
}

fn read(
    part: &mut impl Read,
    name: &str,
    left: u64,
    packed: u64,
) -> Result<Result<Part, Flaw>, ZipError> {
    let most = left.min(SMALL.max(packed.saturating_mul(MOST_RATIO)));
    // Of these what they say about themselves counts, so they are read as a whole.
    let is_kept = name.ends_with("sharedstrings.xml") || name.ends_with("styles.xml");
    let (mut bytes, mut start) = (0, Vec::new());
    let mut buffer = Vec::with_capacity(64 * 1024);
    loop {
        buffer.clear();
        let read = part.by_ref().take(64 * 1024).read_to_end(&mut buffer)? as u64;
        if read == 0 {
            break;
        }
        bytes += read;
        if bytes > most {
            return Ok(Err(bomb("unfolds to far more than it is")));
        }
        if is_kept || start.is_empty() {
            start.extend_from_slice(&buffer);
        }
    }
    Ok(match flaw_of(name, &start) {
        Some(flaw) if is_kept => Err(flaw),
        _ => Ok(Part { bytes, start }),
    })
}

/// What a part would make a reader keep that is not in it.
fn flaw_of(name: &str, text: &[u8]) -> Option<Flaw> {
    // No XML has them, but encodings that hide words do.
    let is_control = |byte: &u8| *byte < b' ' && !matches!(byte, b'\t' | b'\r' | b'\n');
    if text.iter().any(is_control) {
        return Some(damaged("a part of it is no XML in UTF-8"));
    }
    if name.ends_with("styles.xml") {
        let styles = memmem::find_iter(text, "xf").count();
        let longest = text.split(|byte| *byte == b'<').map(<[u8]>::len).max();
        let copied = styles.saturating_mul(longest.unwrap_or(0));
        let is_much =
            text.len() > MOST_STYLE_BYTES || styles > MOST_STYLES || copied > MOST_NAME_BYTES;
        return is_much.then(|| bomb("has too many formats"));
    }
    // Room is made for as many texts as it says.
    let said = memmem::find_iter(text, "uniqueCount").filter_map(|at| {
        let digits = text[at..].iter().skip_while(|byte| !byte.is_ascii_digit());
        let digits = digits.take_while(|byte| byte.is_ascii_digit()).copied();
        String::from_utf8(digits.collect()).ok()
    });
    let most = text.len() / 5;
    said.filter(|digits| !digits.is_empty())
        .any(|digits| digits.parse::<usize>().is_ok_and(|count| count > most) || digits.len() > 15)
        .then(|| damaged("it says that it has more texts than there are"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_reader_would_keep_is_bounded() {
        let styles = |format: usize, count: usize| {
            let format = format!("<numFmt formatCode=\"{}\"/>", "y".repeat(format));
            format + &"<xf/>".repeat(count)
        };
        let strings = |said: &str| format!("<sst {said}>{}</sst>", "<si><t>a</t></si>".repeat(100));
        for (name, text, code) in [
            ("xl/styles.xml", styles(20, 60_000), None),
            (
                "xl/styles.xml",
                styles(60_000, 60_000),
                Some("workbook_too_large"),
            ),
            (
                "xl/styles.xml",
                styles(20, 250_001),
                Some("workbook_too_large"),
            ),
            (
                "xl/styles.xml",
                styles(9_000_000, 1),
                Some("workbook_too_large"),
            ),
            (
                "xl/styles.xml",
                "<xf\u{1B}/>".to_owned(),
                Some("damaged_workbook"),
            ),
            (
                "xl/sharedstrings.xml",
                strings("count=\"900\" uniqueCount=\"100\""),
                None,
            ),
            ("xl/sharedstrings.xml", strings("count=\"900\""), None),
            ("xl/sharedstrings.xml", strings("uniqueCount=\"\""), None),
            (
                "xl/sharedstrings.xml",
                strings("uniqueCount='1000'"),
                Some("damaged_workbook"),
            ),
            (
                "xl/sharedstrings.xml",
                strings("uniqueCount\n=\n'1000'"),
                Some("damaged_workbook"),
            ),
            (
                "xl/sharedstrings.xml",
                strings("uniqueCount=\"99999999999999999999\""),
                Some("damaged_workbook"),
            ),
            (
                "xl/sharedstrings.xml",
                strings("a=\"uniqueCount\" uniqueCount=\"4000\""),
                Some("damaged_workbook"),
            ),
        ] {
            let found = flaw_of(name, text.as_bytes()).map(|flaw| flaw.code);
            assert_eq!(found, code, "{name} {}", &text[..text.len().min(90)]);
        }
    }
}
