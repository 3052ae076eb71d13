//! A workbook's archive, unfolded within bounds before anything reads it: what it says of itself is not believed.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Seek, SeekFrom},
};

use memchr::memmem;
use zip::{CompressionMethod, ZipArchive, ZipWriter, result::ZipError, write::SimpleFileOptions};

use super::{
    parts::rewrite,
    stop::{MOST_BYTES, Stop},
};
use crate::model::wire::Flaw;

/// To how much a byte may unfold, beyond the first `SMALL` ones of a part.
const MOST_RATIO: u64 = 100;
const SMALL: u64 = 1024 * 1024;
/// Parts: a workbook has some dozens.
const MOST_PARTS: usize = 10_000;

/// Reads every part that the reader of workbooks wants, and writes it into an archive [as that one can take it](rewrite).
///
/// # Errors
/// When the source cannot be read, or there is no room for another; why it cannot be a workbook to import.
pub(super) fn repack(source: &mut File) -> Result<File, Stop> {
    // Before anything is kept of each.
    if parts(source)? > MOST_PARTS {
        return Err(Stop::much("has too many parts"));
    }
    source.seek(SeekFrom::Start(0))?;
    let mut archive = ZipArchive::new(BufReader::new(source))?;
    let mut sink = ZipWriter::new(BufWriter::new(tempfile::tempfile()?));
    let options = SimpleFileOptions::default().compression_method(CompressionMethod::Stored);
    let mut left = MOST_BYTES;
    let (mut is_open, mut is_book, mut is_binary) = (false, false, false);
    for index in 0..archive.len() {
        let part = archive.by_index(index)?;
        let name = part.name()?.replace('\\', "/");
        let most = left.min(SMALL.max(part.compressed_size().saturating_mul(MOST_RATIO)));
        let mut part = BufReader::new(Bounded {
            source: part,
            left: most,
            is_over: false,
        });
        let start = part.fill_buf().map_err(ZipError::Io)?;
        let lower = name.to_lowercase();
        is_open |= lower == "mimetype" && start.starts_with(b"application/vnd.oasis.opendocument");
        // Some programs number it.
        is_book |= lower.contains("workbook") && lower.ends_with(".xml");
        is_binary |= lower.ends_with("workbook.bin");
        if !is_xml(start) {
            continue;
        }
        sink.start_file(name.as_str(), options)?;
        let done = rewrite(&name, &mut part, &mut sink);
        let part = part.get_ref();
        if part.is_over {
            return Err(Stop::much("unfolds to far more than it is"));
        }
        done?;
        left -= most - part.left;
    }
    let refused = |what: &str| {
        let detail = format!("the file is {what}; save it as .xlsx or as CSV UTF-8");
        Err(Stop::Flaw(Flaw::new("unsupported_workbook", detail)))
    };
    match (is_open, is_binary, is_book) {
        (true, ..) => refused("an OpenDocument file (.ods)"),
        (_, true, _) => refused("a binary workbook (.xlsb)"),
        (.., false) => refused("a zip archive and no workbook"),
        _ => {
            let sink = sink.finish()?.into_inner();
            Ok(sink.map_err(io::IntoInnerError::into_error)?)
        }
    }
}

/// Whether a part begins as XML does, in UTF-8 or UTF-16.
fn is_xml(start: &[u8]) -> bool {
    let is_mark = |byte: &u8| matches!(byte, 0xEF | 0xBB | 0xBF | 0xFE | 0xFF | 0);
    let mut start = start.iter();
    start.find(|byte| !is_mark(byte) && !byte.is_ascii_whitespace()) == Some(&b'<')
}

/// A part, as far as it may unfold.
struct Bounded<R> {
    source: R,
    left: u64,
    is_over: bool,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => {
                self.is_over = true;
                return Err(io::Error::new(ErrorKind::InvalidData, "it goes on too far"));
            }
        }
        Ok(read)
    }
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
