//! What a single cell holds, and how it stays the same through a spreadsheet and back.

use std::borrow::Cow;

use serde_json::Value;

/// What a program may begin a new cell or row after, when it opens the file with another separator than
/// the comma: in Germany and France that is the semicolon. Quotes keep no cell whole there, since they
/// are not at the beginning of what such a program takes for a cell.
const SEPARATORS: [char; 4] = [';', '\t', '\r', '\n'];

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

/// An attribute as a cell. Text that reads as something else is written as a JSON string.
pub fn of_attribute(value: &Value) -> String {
    match value {
        Value::String(text) if attribute(text) == *value && !text.is_empty() => text.clone(),
        other => other.to_string(),
    }
}

/// The attribute that a cell holds: `true` and `false`, a number in its usual form, a JSON string in
/// its quotes; all else is text as it stands, so `0042` and `1e5` keep their looks.
pub fn attribute(cell: &str) -> Value {
    match serde_json::from_str(cell) {
        Ok(value @ Value::Bool(_)) if !cell.contains(char::is_whitespace) => value,
        Ok(Value::Number(number)) if number.to_string() == cell => Value::Number(number),
        Ok(value @ Value::String(_)) if cell.starts_with('"') && cell.ends_with('"') => value,
        _ => Value::from(cell),
    }
}

/// Group names in one cell, apart by `;`. A `;` inside a name is written `\;`.
pub fn of_groups<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names
        .into_iter()
        .map(|name| name.replace('\\', r"\\").replace(';', r"\;"))
        .collect();
    names.join(";")
}

/// The names in a cell that [`of_groups`] made or a person typed; empty ones do not count.
pub fn groups(cell: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut chars = cell.chars();
    while let Some(c) = chars.next() {
        match c {
            ';' => names.push(String::new()),
            '\\' => push(&mut names, chars.next().unwrap_or('\\')),
            c => push(&mut names, c),
        }
    }
    names.retain(|name| !name.trim().is_empty());
    names
}

fn push(names: &mut [String], c: char) {
    if let Some(name) = names.last_mut() {
        name.push(c);
    }
}

/// Yes or no, as people and spreadsheets write it.
pub fn flag(cell: &str) -> Option<bool> {
    match cell.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "1" => Some(true),
        "false" | "no" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

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
            ("a,=1", "a,=1"),
        ] {
            assert_eq!(escaped(cell), safe);
            assert_eq!(unescaped(safe), cell);
        }
    }

    #[test]
    fn attributes_keep_their_types() {
        for (cell, value) in [
            ("true", json!(true)),
            ("4711", json!(4711)),
            ("-1.5", json!(-1.5)),
            ("0042", json!("0042")),
            ("1e5", json!("1e5")),
            ("\"4711\"", json!("4711")),
            ("null", json!("null")),
            ("[1]", json!("[1]")),
            (" 7", json!(" 7")),
            ("\"", json!("\"")),
        ] {
            assert_eq!(attribute(cell), value, "{cell}");
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

        #[test]
        fn every_attribute_round_trips(text: String, number: i64, float: f64) {
            for value in [json!(text), json!(number), json!(float), json!(number.to_string()), json!(true), json!("")] {
                prop_assert_eq!(attribute(&of_attribute(&value)), value);
            }
        }

        #[test]
        fn groups_round_trip(names in proptest::collection::vec("[a-z;\\\\ ]{0,6}[a-z]", 0..5)) {
            let cell = of_groups(names.iter().map(String::as_str));
            prop_assert_eq!(groups(&cell), names);
        }
    }
}
