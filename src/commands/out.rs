//! Where commands say something, and nowhere else: results on standard output, everything else on standard error. Whoever
//! reads may go away (`enlist … | head`).

use std::{
    fmt::Display,
    io::{self, ErrorKind, Write},
};

use anyhow::Context;

/// Nobody reads standard output any more: the command ends there, and has nothing to say of it.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads standard output")]
pub struct Unread;

/// What a shell gives for a program that a closed pipe ended (128 and SIGPIPE).
pub const UNREAD: u8 = 141;

/// Writes a line to standard output.
///
/// # Errors
/// [`Unread`], and what else keeps it from being written.
pub fn say(line: impl Display) -> anyhow::Result<()> {
    print(&format!("{line}\n"))
}

/// Writes a text to standard output as it is.
///
/// # Errors
/// As [`say`].
pub fn print(text: &str) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Unread.into()),
        written => written.context("standard output"),
    }
}

/// Writes a line to standard error. There is nobody to tell that it could not be written.
pub fn hint(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}
