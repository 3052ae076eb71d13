//! Text as a person may write it, and what is wrong with text. Pure.

use unicode_normalization::UnicodeNormalization;

use super::characters::{hidden_inside, trimmed};

/// A fault that does not know its place yet: what the `parse` functions of the domain types give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// What is wrong, for programs.
    pub code: &'static str,
    /// What is wrong, for people.
    pub detail: String,
}

impl Flaw {
    /// A flaw of any kind.
    pub fn new(code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            code,
            detail: detail.into(),
        }
    }
}

/// One line of text as a person may write it: composed (NFC), of 1 to `most` characters, without blanks and invisible
/// characters at its ends, and without anything inside that could break a mail header, turn the reading direction
/// around or be seen by nobody.
///
/// # Errors
/// `empty`, `too_long`, `control_character` or `invisible_character`.
pub fn line(text: &str, most: usize) -> Result<String, Flaw> {
    let line: String = trimmed(text).nfc().collect();
    if line.is_empty() {
        return Err(Flaw::new("empty", "must not be empty"));
    }
    check_length(&line, most)?;
    if line.chars().any(breaks_a_line) {
        return Err(Flaw::new(
            "control_character",
            "must not hold line breaks, control characters or direction overrides",
        ));
    }
    if let Some(c) = hidden_inside(&line) {
        return Err(Flaw::new(
            "invisible_character",
            format!(
                "holds the invisible character U+{:04X} inside; type the text anew, without it",
                u32::from(c)
            ),
        ));
    }
    Ok(line)
}

/// # Errors
/// `too_long` above `most` characters.
pub fn check_length(text: &str, most: usize) -> Result<(), Flaw> {
    let length = text.chars().count();
    if length > most {
        return Err(Flaw::new(
            "too_long",
            format!("has {length} characters; at most {most} are allowed"),
        ));
    }
    Ok(())
}

/// Control characters, line and paragraph separators, and the bidirectional overrides and isolates
/// (Unicode TR 9), which can make `gnp.exe` of what a reader takes for `exe.png`.
pub fn breaks_a_line(c: char) -> bool {
    c.is_control()
        || is_direction_override(c)
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FFFE}' | '\u{FFFF}')
}

/// The bidirectional embeddings, overrides and isolates.
pub fn is_direction_override(c: char) -> bool {
    matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

/// The words of a text, without those that may be an address: for what stays when a user is erased.
pub fn without_addresses(text: &str) -> String {
    let word = |word: &'_ str| if word.contains('@') { "…" } else { word }.to_owned();
    text.split_whitespace()
        .map(word)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_an_address_is_left_out() {
        assert_eq!(
            without_addresses("550 <ada@example.com>:  User unknown"),
            "550 … User unknown"
        );
    }

    #[test]
    fn a_line_is_one_line() {
        assert_eq!(line("  Zoe\u{308}  ", 10).unwrap(), "Zoë");
        for (text, code) in [
            ("", "empty"),
            (" \t ", "empty"),
            ("a\r\nBcc: x", "control_character"),
            ("a\u{0}", "control_character"),
            ("a\u{202E}b", "control_character"),
            ("a\u{2028}b", "control_character"),
            ("\u{200B}\u{FEFF}", "empty"),
            ("hidden\u{200B}two", "invisible_character"),
            ("aaaaaaaaaaa", "too_long"),
        ] {
            assert_eq!(line(text, 10).unwrap_err().code, code, "{text:?}");
        }
    }
}
