//! Words that are searched for. Pure.

use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use serde::Serialize;

use super::wire::{Faults, Flaw, line, parse_text};

/// A part of a username, an address or a name: up to 200 characters.
#[derive(Debug, Clone, Serialize)]
pub struct SearchText(String);

impl SearchText {
    /// The text as it was typed.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Deserr<Faults> for SearchText {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        parse_text(value, location, |text| {
            if text.trim().is_empty() {
                Ok(Self(String::new()))
            } else {
                line(text, 200).map(Self)
            }
        })
    }
}

/// The most words of one search.
const MOST_WORDS: usize = 8;

/// What is typed to find somebody: up to eight words in up to 200 characters, each a part of something. `"…"` keeps a
/// phrase together.
#[derive(Debug, Clone, Serialize)]
pub struct SearchWords(String);

impl SearchWords {
    /// Whether there is nothing to look for.
    pub fn is_blank(&self) -> bool {
        self.words().is_empty()
    }

    /// What is looked for, as it was typed. A quote that is not closed yet keeps all that follows.
    pub fn words(&self) -> Vec<String> {
        let mut words = Vec::new();
        let mut rest = self.0.trim_start();
        while let Some(first) = rest.chars().next() {
            let (word, behind) = if is_quote(first) {
                let phrase = &rest[first.len_utf8()..];
                phrase.split_once(is_quote).unwrap_or((phrase, ""))
            } else {
                let (word, behind) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
                // As lists write names: Lovelace, Ada.
                (word.trim_end_matches([',', ';', '、', '，']), behind)
            };
            if !word.trim().is_empty() {
                words.push(word.trim().to_owned());
            }
            rest = behind.trim_start();
        }
        words
    }
}

/// Phones make curly quotes of straight ones.
fn is_quote(c: char) -> bool {
    matches!(c, '"' | '“' | '”' | '„' | '＂')
}

impl Deserr<Faults> for SearchWords {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        parse_text(value, location, |text| {
            if text.trim().is_empty() {
                return Ok(Self(String::new()));
            }
            let search = Self(line(text, 200)?);
            match search.words().len() {
                ..=MOST_WORDS => Ok(search),
                many => Err(Flaw::new(
                    "too_many_words",
                    format!(
                        "has {many} words; at most {MOST_WORDS} are looked for: leave some out, or put words \
                         that follow one another in quotes"
                    ),
                )),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::wire::parse;

    #[test]
    fn a_search_is_words_and_phrases() {
        for (text, words) in [
            ("", vec![]),
            (" \t ", vec![]),
            ("ada", vec!["ada"]),
            (" Ada   Lovelace ", vec!["Ada", "Lovelace"]),
            ("山田\u{3000}太郎", vec!["山田", "太郎"]),
            ("a\u{a0}b", vec!["a", "b"]),
            ("\"Ada Lovelace\" king", vec!["Ada Lovelace", "king"]),
            ("king \"Ada Lov", vec!["king", "Ada Lov"]),
            ("Müller, Jürgen", vec!["Müller", "Jürgen"]),
            ("山田， 太郎;", vec!["山田", "太郎"]),
            ("a,b , \"x, y\"", vec!["a,b", "x, y"]),
            ("“Ada Lovelace”„x y“", vec!["Ada Lovelace", "x y"]),
            ("\"\" \" \" \"", vec![]),
            ("O\"Hara 5\"", vec!["O\"Hara", "5\""]),
            ("%_ \\", vec!["%_", "\\"]),
            (
                "1 2 3 4 5 6 7 \"8 9\"",
                vec!["1", "2", "3", "4", "5", "6", "7", "8 9"],
            ),
        ] {
            let search: SearchWords = parse(json!(text)).unwrap();
            assert_eq!(search.words(), words, "{text:?}");
            assert_eq!(search.is_blank(), words.is_empty(), "{text:?}");
        }
    }

    #[test]
    fn a_search_of_too_much_is_refused() {
        for (text, code) in [
            ("1 2 3 4 5 6 7 8 9".to_owned(), "too_many_words"),
            ("x".repeat(201), "too_long"),
            ("a\nb".to_owned(), "control_character"),
        ] {
            let faults = parse::<SearchWords>(json!(text)).unwrap_err();
            assert_eq!(faults[0].code, code, "{text:?}");
        }
    }
}
