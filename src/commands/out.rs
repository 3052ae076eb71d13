//! Where commands say something, and nowhere else: results on standard output, everything else on standard error. Whoever
//! reads may go away (`enlist … | head`). Names that others chose, such as those in the database, are in it: a line shows
//! all that it holds, and stays one line.

use std::{
    fmt::{Display, Write as _},
    io::{self, ErrorKind, Write},
};

use anyhow::Context;
use enlist::model::{characters::is_invisible, wire::breaks_a_line};

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
    print(&format!("{}\n", visible(&line.to_string())))
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

/// Ends the process, without what libraries have for that: OpenSSL would take away what threads still use that wait for the
/// database.
#[allow(unsafe_code)]
pub fn end(code: u8) -> ! {
    let _ = io::stdout().lock().flush();
    // SAFETY: it has no conditions; nothing of this process runs after it.
    unsafe { libc::_exit(code.into()) }
}

/// Writes a line to standard error. There is nobody to tell that it could not be written.
pub fn hint(line: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{}", visible(&line.to_string()));
}

/// A text in which nothing is hidden, moves what is before it, or begins another line: such characters are written out.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if (breaks_a_line(c) && c != '\t') || is_invisible(c) {
            let _ = write!(shown, "{}", c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_all_that_it_holds() {
        for (text, shown) in [
            ("Größe `x\\y`\t\"z\" नमस्ते é", "Größe `x\\y`\t\"z\" नमस्ते é"),
            ("eve\nKnown: all\r", r"eve\nKnown: all\r"),
            ("\u{1b}[2K\u{9b}8m\0\u{7f}", r"\u{1b}[2K\u{9b}8m\u{0}\u{7f}"),
            ("a\u{2028}b\u{2029}c\u{85}d", r"a\u{2028}b\u{2029}c\u{85}d"),
            (
                "\u{202e}a\u{2066}b\u{200f}c\u{61c}",
                r"\u{202e}a\u{2066}b\u{200f}c\u{61c}",
            ),
            (
                "\u{200b}\u{feff}\u{e0041}\u{ad}",
                r"\u{200b}\u{feff}\u{e0041}\u{ad}",
            ),
        ] {
            assert_eq!(visible(text), shown);
        }
    }
}
