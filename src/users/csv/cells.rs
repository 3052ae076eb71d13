//! What a cell says of a user: an attribute with its type, the names of groups, yes or no. Pure.

use serde_json::Value;

use super::addresses::is_suffix;

/// An attribute as a cell. Text that reads as something else is written as a JSON string.
pub fn of_attribute(value: &Value) -> String {
    match value {
        Value::String(text) if !is_another(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The attribute that a cell holds: `true` and `false`, a number in its usual form, a text that would be one of
/// these as a JSON string; all else is text as it stands, so `0042`, `1e5` and `"quoted"` keep their looks.
pub fn attribute(cell: &str) -> Value {
    match serde_json::from_str(cell) {
        Ok(value @ Value::Bool(_)) if !cell.contains(char::is_whitespace) => value,
        Ok(Value::Number(number)) if number.to_string() == cell => Value::Number(number),
        Ok(Value::String(text)) if is_another(&text) => Value::String(text),
        _ => Value::from(cell),
    }
}

/// Whether a text cannot stand in a cell as it is.
fn is_another(text: &str) -> bool {
    // Behind a blank no mark tells that `="…"` is meant as it stands.
    let is_guarded = !text.starts_with('=') && guarded(text).is_some();
    text.is_empty() || is_guarded || !matches!(attribute(text), Value::String(read) if read == text)
}

/// What stands in `="007"`, which keeps a spreadsheet from making a number of it.
pub fn guarded(cell: &str) -> Option<String> {
    let text = cell.trim().strip_prefix("=\"")?.strip_suffix('"')?;
    let is_one = !text.replace("\"\"", "").contains('"');
    is_one.then(|| text.replace("\"\"", "\""))
}

/// The attribute that a cell of a sheet holds which says that it is text: so is `4701`.
pub fn text_attribute(cell: &str) -> Value {
    match attribute(cell) {
        text @ Value::String(_) => text,
        _ => Value::from(cell),
    }
}

/// Group names in one cell, separated by `;`. A `;` inside a name is written `\;`.
pub fn of_groups<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let names: Vec<String> = names
        .into_iter()
        .map(|name| name.replace('\\', r"\\").replace(';', r"\;"))
        .collect();
    let cell = names.join(";");
    match list(&cell) {
        Some(_) => format!(r"\{cell}"),
        None => cell,
    }
}

/// The names in a JSON array.
fn list(cell: &str) -> Option<Vec<String>> {
    let cell = cell.trim();
    cell.starts_with('[')
        .then(|| serde_json::from_str(cell).ok())?
}

/// The names in a cell that [`of_groups`] made or a person typed, or a program as a JSON array; empty ones do not count.
pub fn groups(cell: &str) -> Vec<String> {
    if let Some(mut names) = list(cell) {
        names.retain(|name| !name.trim().is_empty());
        return names;
    }
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

/// The last and the first name in `Lind, Asa` and `King, Jr., Martin Luther`; none where no comma parts them.
pub fn last_and_first(cell: &str) -> Option<(&str, &str)> {
    let mut commas = cell.match_indices([',', '，', '、']);
    let (place, comma) = commas.find(|(place, comma)| {
        let rest = &cell[place + comma.len()..];
        let next = rest.split([',', '，', '、']).next().unwrap_or_default();
        !is_suffix(next)
    })?;
    Some((&cell[..place], &cell[place + comma.len()..]))
}

fn push(names: &mut [String], c: char) {
    if let Some(name) = names.last_mut() {
        name.push(c);
    }
}

/// What spreadsheets and directories write for yes, in the languages of the mails.
const YES: &str = "true yes y 1 active enabled on wahr ja aktiv aktiviert vrai oui actif activé verdadero sí si activo \
    habilitado vero sì attivo abilitato verdadeiro sim ativo ativado waar actief ingeschakeld 有効 はい 真 ○";
/// The same for no.
const NO: &str = "false no n 0 inactive disabled suspended off falsch nein inaktiv deaktiviert gesperrt faux non inactif \
    désactivé falso inactivo deshabilitado inattivo disabilitato não nao inativo desativado onwaar nee inactief \
    uitgeschakeld 無効 いいえ 偽 ×";

/// Yes or no, as people and spreadsheets write it.
pub fn flag(cell: &str) -> Option<bool> {
    let word = cell.trim().to_lowercase();
    let is_in = |words: &str| words.split(' ').any(|other| other == word);
    match (is_in(YES), is_in(NO)) {
        (true, _) => Some(true),
        (_, true) => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

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
            ("\"quoted\"", json!("\"quoted\"")),
            ("\"true\"", json!("true")),
            ("\"\"", json!("")),
            (r#"" =\"\"""#, json!(" =\"\"")),
            ("\"null\"", json!("\"null\"")),
            (r#""\"4711\"""#, json!("\"4711\"")),
            (r#""\"quoted\"""#, json!(r#""\"quoted\"""#)),
        ] {
            assert_eq!(attribute(cell), value, "{cell}");
        }
    }

    #[test]
    fn a_guarded_cell_is_what_it_guards() {
        for (cell, text) in [
            ("=\"007\"", Some("007")),
            (" =\"007\" ", Some("007")),
            ("=\"\"", Some("")),
            ("=\"Bo\"", Some("Bo")),
            ("=\"+49 30\"", Some("+49 30")),
            ("=\"5\"\" screen\"", Some("5\" screen")),
            ("=\"a\"&\"b\"", None),
            ("'=\"007\"", None),
            ("=007", None),
            ("=\"", None),
            ("\"007\"", None),
            ("x=\"007\"", None),
        ] {
            assert_eq!(guarded(cell).as_deref(), text, "{cell}");
        }
    }

    #[test]
    fn what_says_that_it_is_text_is_text() {
        for (cell, text) in [
            ("4701", "4701"),
            ("0047", "0047"),
            ("true", "true"),
            ("-1.5", "-1.5"),
            ("\"4701\"", "4701"),
            ("plain", "plain"),
            (" 7", " 7"),
        ] {
            assert_eq!(text_attribute(cell), json!(text), "{cell}");
        }
    }

    #[test]
    fn yes_and_no_are_known_in_every_language() {
        for word in [
            "TRUE", "yes", " 1 ", "WAHR", "Ja", "Vrai", "Sí", "VERO", "Sim", "Waar", "有効",
            "ACTIVE",
        ] {
            assert_eq!(flag(word), Some(true), "{word}");
        }
        for word in [
            "FALSE",
            "No",
            "0",
            "FALSCH",
            "nein",
            "Non",
            "FALSO",
            "Não",
            "Nee",
            "無効",
            "Suspended",
        ] {
            assert_eq!(flag(word), Some(false), "{word}");
        }
        for word in ["", "perhaps", "2", "on leave", "yes no"] {
            assert_eq!(flag(word), None, "{word}");
        }
    }

    #[test]
    fn groups_come_as_a_json_array_too() {
        for (cell, names) in [
            (r#"["A","B"]"#, &["A", "B"][..]),
            (r#" ["A, B", ""] "#, &["A, B"]),
            ("[]", &[]),
            ("[A];B", &["[A]", "B"]),
            ("[1]", &["[1]"]),
            (r#"\["A"]"#, &[r#"["A"]"#]),
        ] {
            assert_eq!(groups(cell), names, "{cell}");
        }
        for name in [r#"["A","B"]"#, "[]", "[A]", r"\[]"] {
            assert_eq!(groups(&of_groups([name])), [name]);
        }
    }

    #[test]
    fn a_comma_parts_names_unless_a_title_stands_behind_it() {
        for (cell, names) in [
            ("Lind, Asa", Some(("Lind", " Asa"))),
            (
                "King, Jr., Martin Luther",
                Some(("King, Jr.", " Martin Luther")),
            ),
            ("King, III, Martin", Some(("King, III", " Martin"))),
            ("Lind,Asa, Dr.", Some(("Lind", "Asa, Dr."))),
            ("山田、太郎", Some(("山田", "太郎"))),
            ("Widgets, Inc.", None),
            ("King, Jr.", None),
            (", Cian", Some(("", " Cian"))),
            ("Madonna", None),
        ] {
            assert_eq!(last_and_first(cell), names, "{cell}");
        }
    }

    proptest! {
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
