//! Tables as CSV, for people with spreadsheets: rows, and cells that stay the same through such a program and back. Pure.

use std::borrow::Cow;

use crate::string_enum;

string_enum! {
    /// What stands between the cells of a row.
    Separator {
        /// As RFC 4180 has it.
        Comma = "comma",
        /// What spreadsheets expect where the comma is the decimal point.
        Semicolon = "semicolon",
    }
}

/// Writes rows (RFC 4180, but for the separator), each cell safe to open in a spreadsheet.
pub fn rows(separator: Separator, fill: impl FnOnce(&mut dyn FnMut(Vec<String>))) -> Vec<u8> {
    let mut text = String::new();
    fill(&mut |row| {
        for (index, cell) in row.iter().enumerate() {
            if index > 0 {
                text.push(match separator {
                    Separator::Comma => ',',
                    Separator::Semicolon => ';',
                });
            }
            write(&mut text, &escaped(cell));
        }
        text.push_str("\r\n");
    });
    text.into_bytes()
}

/// Quotes a cell with anything in it that a program may take for a separator: whoever guesses which one
/// the file has, as our import does, does not count what is in quotes.
fn write(text: &mut String, cell: &str) {
    if cell.contains([',', ';', '\t', '"', '\r', '\n']) {
        text.push('"');
        text.push_str(&cell.replace('"', "\"\""));
        text.push('"');
    } else {
        text.push_str(cell);
    }
}

/// What a program may begin a new cell or row after, when it opens the file with another separator than
/// it was written with. Quotes keep no cell whole there, since they are not at the beginning of what such a
/// program takes for a cell.
const SEPARATORS: [char; 5] = [',', ';', '\t', '\r', '\n'];

/// Whether a spreadsheet may take a cell that begins so for a formula (OWASP, CSV Injection), or
/// whether it begins with our own mark.
fn is_marked(first: char) -> bool {
    matches!(
        first,
        '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠' | '\''
    ) || first.is_control()
}

/// Whether a text must have a mark in front, or has lost one: at the beginning of a cell, or after a
/// separator inside. There, quotes count as nothing: another program may drop them.
fn needs_mark(rest: &str, is_inside: bool) -> bool {
    if is_inside {
        let rest = rest.trim_start_matches('"');
        rest.starts_with(is_marked) && !rest.starts_with(SEPARATORS)
    } else {
        rest.starts_with(is_marked)
    }
}

/// The beginnings in a text: its own, and one after every separator. Gives `""` for none.
fn pieces(cell: &str) -> impl Iterator<Item = (bool, &str)> {
    cell.split_inclusive(SEPARATORS)
        .enumerate()
        .map(|(index, piece)| (index > 0, piece))
}

/// A cell that no spreadsheet runs, whichever separator it opens the file with: what begins dangerously
/// gets a leading `'`.
pub fn escaped(cell: &str) -> Cow<'_, str> {
    if !pieces(cell).any(|(is_inside, piece)| needs_mark(piece, is_inside)) {
        return Cow::Borrowed(cell);
    }
    let mut safe = String::with_capacity(cell.len() + 4);
    for (is_inside, piece) in pieces(cell) {
        if needs_mark(piece, is_inside) {
            safe.push('\'');
        }
        safe.push_str(piece);
    }
    Cow::Owned(safe)
}

/// Takes off every `'` that [`escaped`] added. Another one, as in `'tis`, belongs to the text.
pub fn unescaped(cell: &str) -> Cow<'_, str> {
    let bare = |(is_inside, piece)| match str::strip_prefix(piece, '\'') {
        Some(rest) if needs_mark(rest, is_inside) => rest,
        _ => piece,
    };
    if pieces(cell).all(|piece| bare(piece).len() == piece.1.len()) {
        return Cow::Borrowed(cell);
    }
    Cow::Owned(pieces(cell).map(bare).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn formulas_are_defused_and_come_back() {
        for (cell, safe) in [
            ("=1+1", "'=1+1"),
            ("+49 30", "'+49 30"),
            ("-5", "'-5"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("＝1", "'＝1"),
            ("'=1", "''=1"),
            ("'tis", "''tis"),
            ("ada", "ada"),
            ("", ""),
        ] {
            assert_eq!(escaped(cell), safe);
            assert_eq!(unescaped(safe), cell);
        }
        assert_eq!(unescaped("'tis"), "'tis", "as a person types it");
    }

    #[test]
    fn formulas_behind_another_separator_are_defused_too() {
        for (cell, safe) in [
            ("a;=1", "a;'=1"),
            ("a;;@x;b", "a;;'@x;b"),
            ("a\t-1", "a\t'-1"),
            ("one\r\n=two\nthree", "one\r\n'=two\nthree"),
            ("a;\"\"=1", "a;'\"\"=1"),
            ("a;'=1", "a;''=1"),
            ("\t=1", "'\t'=1"),
            ("rock; 'n' roll;", "rock; 'n' roll;"),
            ("a,=1", "a,'=1"),
            ("Lind, -x", "Lind, -x"),
        ] {
            assert_eq!(escaped(cell), safe);
            assert_eq!(unescaped(safe), cell);
        }
    }

    proptest! {
        #[test]
        fn every_cell_round_trips(
            cell in prop_oneof![any::<String>(), "['=+@\";\\t\r\na-]{0,12}"],
            lead in "['=+@-]?",
        ) {
            let cell = format!("{lead}{cell}");
            let safe = escaped(&cell);
            prop_assert_eq!(unescaped(&safe), cell.as_str());
            prop_assert!(!safe.starts_with(|c| is_marked(c) && c != '\''));
        }
    }
}
