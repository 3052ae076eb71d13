//! Header fields as lines: folded (RFC 5322 §2.2.3), and in encoded-words where they are not plain ASCII (RFC 2047). Pure.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use unicode_segmentation::UnicodeSegmentation;

/// Characters of a line that has an encoded-word, and of one encoded-word (RFC 2047 §2). Other lines may have two more
/// (RFC 5322 §2.1.1) and do not need them.
const LINE: usize = 76;
const WORD: usize = 75;

const START: &str = "=?utf-8?b?";
const END: &str = "?=";
const FOLD: &str = "\r\n ";

/// The value of a field that is text, such as `Subject`.
pub(super) fn text(field: &str, text: &str) -> String {
    let begun = begun(field);
    if is_plain(text)
        && let Some(folded) = folded(begun, text)
    {
        return folded;
    }
    encoded(begun, text)
}

/// The value of a field that is one mailbox. The address stays as it is: it has no other form.
pub(super) fn mailbox(field: &str, name: Option<&str>, address: &str) -> String {
    let Some(name) = name else {
        return address.to_owned();
    };
    let name = phrase(begun(field), name);
    let column = match name.rsplit_once("\r\n") {
        Some((_, last)) => last.len(),
        None => begun(field) + name.len(),
    };
    let gap = if column + " <>".len() + address.len() <= LINE {
        " "
    } else {
        FOLD
    };
    format!("{name}{gap}<{address}>")
}

fn begun(field: &str) -> usize {
    field.len() + ": ".len()
}

/// A name, as words, in quotes or encoded.
fn phrase(begun: usize, name: &str) -> String {
    if is_plain(name) {
        let is_atom =
            |c: char| c == ' ' || c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
        if name.chars().all(is_atom)
            && let Some(folded) = folded(begun, name)
        {
            return folded;
        }
        let quoted = format!("\"{}\"", name.replace('\\', "\\\\").replace('"', "\\\""));
        // On one line: not every program reads quotes that are folded.
        if begun + quoted.len() <= LINE {
            return quoted;
        }
    }
    encoded(begun, name)
}

/// Whether a text may stand as it is: it reads the same when it is unfolded, and nothing in it is taken for encoded.
fn is_plain(text: &str) -> bool {
    let is_visible = |c: char| matches!(c, ' '..='~');
    text.chars().all(is_visible)
        && !text.contains("=?")
        && text.split(' ').all(|word| !word.is_empty())
}

/// A text on lines that are short enough; `None` if a word is longer than a line.
fn folded(begun: usize, text: &str) -> Option<String> {
    let mut lines = String::with_capacity(text.len() + text.len() / LINE * 2);
    let mut column = begun;
    for word in text.split(' ') {
        let is_first = lines.is_empty();
        let width = usize::from(!is_first) + word.len();
        if column + width <= LINE {
            lines.push_str(if is_first { "" } else { " " });
            column += width;
        } else if !is_first && word.len() < LINE {
            lines.push_str(FOLD);
            column = 1 + word.len();
        } else {
            return None;
        }
        lines.push_str(word);
    }
    Some(lines)
}

/// A text in encoded-words, one a line. Each holds whole characters, as it must (RFC 2047 §5), and whole graphemes.
fn encoded(begun: usize, text: &str) -> String {
    let mut lines = String::with_capacity(text.len() * 2);
    let (mut rest, mut column) = (text, begun);
    loop {
        let width = LINE.saturating_sub(column).min(WORD);
        let room = width.saturating_sub(START.len() + END.len()) / 4 * 3;
        let (word, after) = rest.split_at(cut(rest, room));
        lines.push_str(START);
        BASE64_STANDARD.encode_string(word, &mut lines);
        lines.push_str(END);
        if after.is_empty() {
            return lines;
        }
        lines.push_str(FOLD);
        (rest, column) = (after, 1);
    }
}

/// Where a text is cut so that so many bytes hold its beginning: between graphemes, if there are several.
fn cut(text: &str, room: usize) -> usize {
    let whole = text
        .grapheme_indices(true)
        .map(|(at, grapheme)| at + grapheme.len())
        .take_while(|end| *end <= room)
        .last();
    let first = text.chars().next().map_or(0, char::len_utf8);
    whole.unwrap_or_else(|| text.floor_char_boundary(room).max(first))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The lines of a field, each short enough.
    fn lines(field: &str, value: &str) -> Vec<String> {
        let whole = format!("{field}: {value}");
        let lines: Vec<String> = whole.split("\r\n").map(str::to_owned).collect();
        for line in &lines {
            let has_word = line.contains(START);
            assert!(line.len() <= if has_word { LINE } else { 78 }, "{line}");
            assert!(!line.trim().is_empty());
            for word in line.split(' ').filter(|word| word.starts_with("=?")) {
                assert!(word.len() <= WORD, "{word}");
            }
        }
        lines
    }

    /// As a mail program reads it.
    fn read(field: &str, value: &str) -> String {
        let whole = format!("{field}: {value}\r\n");
        let (header, _) = mailparse::parse_header(whole.as_bytes()).unwrap();
        header.get_value()
    }

    #[test]
    fn what_is_plain_stays_readable() {
        for (given, value) in [
            ("Enroll your device", "Enroll your device"),
            ("a \"b\" (c), d: e; f@g", "a \"b\" (c), d: e; f@g"),
            ("x", "x"),
            ("Zoë", "=?utf-8?b?Wm/Dqw==?="),
            // What would be decoded, and what would lose a blank.
            ("=?utf-8?q?x?=", "=?utf-8?b?PT91dGYtOD9xP3g/PQ==?="),
            ("a  b", "=?utf-8?b?YSAgYg==?="),
            ("", "=?utf-8?b??="),
        ] {
            assert_eq!(text("Subject", given), value, "{given}");
        }
        for (name, value) in [
            ("Ada Lovelace", "Ada Lovelace <a@x.example>"),
            ("O'Hara & Sons", "O'Hara & Sons <a@x.example>"),
            // A full stop is no part of an atom (RFC 5322 §3.2.3).
            ("J. Doe", "\"J. Doe\" <a@x.example>"),
            ("Doe, \"J\" \\", "\"Doe, \\\"J\\\" \\\\\" <a@x.example>"),
            ("Zoë", "=?utf-8?b?Wm/Dqw==?= <a@x.example>"),
        ] {
            assert_eq!(mailbox("To", Some(name), "a@x.example"), value, "{name}");
        }
        assert_eq!(mailbox("To", None, "zoë@x.example"), "zoë@x.example");
    }

    #[test]
    fn no_grapheme_is_cut() {
        // A family of seven code points, a flag of two, a letter with marks, conjuncts of Devanagari.
        for piece in ["👨‍👩‍👧‍👦", "🇫🇷", "e\u{301}\u{323}", "क्ष", "각"]
        {
            let long = piece.repeat(40);
            let words = text("Subject", &long);
            for word in words.split("\r\n ") {
                let word = word.strip_prefix(START).unwrap().strip_suffix(END).unwrap();
                let word = String::from_utf8(BASE64_STANDARD.decode(word).unwrap()).unwrap();
                assert_eq!(word.len() % piece.len(), 0, "{word}");
            }
            assert_eq!(read("Subject", &words), long);
        }
        // One that is longer than a line is cut between its code points.
        let tower = format!("e{}", "\u{301}".repeat(200));
        let words = text("Subject", &tower);
        lines("Subject", &words);
        assert_eq!(read("Subject", &words), tower);
    }

    #[test]
    fn an_address_that_does_not_fit_has_its_own_line() {
        let address = format!("{}@{}.example", "a".repeat(20), "b".repeat(40));
        for name in ["Zoë", "Zoë Durand de la Fontaine", "Zoe Durand", "J. Doe"] {
            let value = mailbox("To", Some(name), &address);
            assert_eq!(
                lines("To", &value).last().unwrap(),
                &format!(" <{address}>")
            );
        }
        let long = format!("{}@{}.example", "a".repeat(64), "b".repeat(63));
        let value = mailbox("To", Some("Zoë"), &long);
        assert_eq!(value, format!("=?utf-8?b?Wm/Dqw==?=\r\n <{long}>"));
    }

    proptest! {
        #[test]
        fn any_text_is_read_as_it_was(given in "(\\PC|[ -~]|é|👍🏽| ){0,120}") {
            let given = given.trim();
            for field in ["To", "Subject", "Reply-To"] {
                let value = text(field, given);
                prop_assert!(value.is_ascii());
                lines(field, &value);
                prop_assert_eq!(read(field, &value), given);
            }
        }

        #[test]
        fn any_name_is_read_as_it_was(given in "(\\PC|[ -~]|é|👍🏽| ){1,120}", local in "[a-zé]{1,20}") {
            let given = given.trim();
            prop_assume!(!given.is_empty());
            let address = format!("{local}@example.com");
            let value = mailbox("To", Some(given), &address);
            lines("To", &value);
            let whole = format!("To: {value}\r\n");
            let (header, _) = mailparse::parse_header(whole.as_bytes()).unwrap();
            let one = mailparse::addrparse_header(&header).unwrap().extract_single_info().unwrap();
            prop_assert_eq!(one.addr, address);
            prop_assert_eq!(one.display_name.as_deref(), Some(given));
        }
    }
}
