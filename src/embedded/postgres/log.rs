//! The file that Postgres logs to: kept short, and quoted when something goes wrong.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read, Seek, SeekFrom},
    path::Path,
};

use super::last_words::last_words;

/// A log that has grown beyond this many bytes is emptied.
const LONGEST_LOG: u64 = 16 << 20;

/// Empties a log that has grown too long. Postgres appends, so it goes on at the beginning.
pub(super) fn trim(log: &Path) {
    if fs::metadata(log).is_ok_and(|log| log.len() > LONGEST_LOG) {
        // If this fails now, it is tried again soon.
        let _ = OpenOptions::new().write(true).truncate(true).open(log);
    }
}

/// How the log ends. Looks back at most 16 KiB, and not beyond the byte `from`.
pub(super) fn end_of(log: &Path, from: u64) -> String {
    let mut said = Vec::new();
    let read = File::open(log).and_then(|mut log| {
        let from = from.max(log.metadata()?.len().saturating_sub(16 << 10));
        log.seek(SeekFrom::Start(from))?;
        log.read_to_end(&mut said)
    });
    let words = read.map_or_else(|error| error.to_string(), |_| last_words(&said));
    format!("{} ends with: {words}", log.display())
}
