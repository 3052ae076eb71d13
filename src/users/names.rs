//! The name that lists and mails show, made of its parts where nobody said what it is. Pure.

use icu_properties::{CodePointMapData, props::Script};

/// What a name is made of.
#[derive(Clone, Copy)]
pub struct Parts<'a> {
    pub first: &'a str,
    pub last: &'a str,
    /// Shown where there is no name.
    pub username: &'a str,
    pub locale: Option<&'a str>,
}

/// The longest name that is shown.
const MOST_CHARACTERS: usize = 200;

/// Languages that name the family first in Latin script, too.
const FAMILY_FIRST: &[&str] = &["hu", "ja", "ko", "vi", "zh"];

/// The name as its bearer's script and language have it: 山田太郎, Nagy János, Ada Lovelace.
pub fn in_its_order(parts: Parts<'_>) -> String {
    let letters = (letters(parts.first), letters(parts.last));
    match letters {
        (Letters::Characters, Letters::Characters) => shown(parts.last, "", parts.first, parts),
        (Letters::Latin, Letters::Latin) if is_family_first(parts.locale) => {
            shown(parts.last, " ", parts.first, parts)
        }
        _ => given_name_first(parts),
    }
}

/// The name in the order of most languages of Europe.
pub fn given_name_first(parts: Parts<'_>) -> String {
    shown(parts.first, " ", parts.last, parts)
}

/// Both names as far as they are known, else the username.
fn shown(one: &str, between: &str, other: &str, parts: Parts<'_>) -> String {
    let full = format!("{one}{between}{other}");
    let name = match full.trim() {
        "" => parts.username,
        name => name,
    };
    let name: String = name.chars().take(MOST_CHARACTERS).collect();
    // A cut may have left a blank.
    name.trim_end().to_owned()
}

fn is_family_first(locale: Option<&str>) -> bool {
    let language = locale.and_then(|tag| tag.split('-').next());
    language.is_some_and(|language| FAMILY_FIRST.contains(&language))
}

/// What a name is written in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Letters {
    /// Han, kana or Hangul, which need no blank.
    Characters,
    Latin,
    /// Others, several, or none.
    Other,
}

/// Marks and signs that all scripts share say nothing.
fn letters(name: &str) -> Letters {
    let scripts = CodePointMapData::<Script>::new();
    let mut kinds = name.chars().filter_map(|c| match scripts.get(c) {
        Script::Common | Script::Inherited => None,
        Script::Han | Script::Hiragana | Script::Katakana | Script::Hangul | Script::Bopomofo => {
            Some(Letters::Characters)
        }
        Script::Latin => Some(Letters::Latin),
        _ => Some(Letters::Other),
    });
    match kinds.next() {
        Some(first) if kinds.all(|kind| kind == first) => first,
        _ => Letters::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_are_named_as_they_name_themselves() {
        for (first, last, locale, expected) in [
            ("Ada", "Lovelace", None, "Ada Lovelace"),
            ("Ada", "Lovelace", Some("en"), "Ada Lovelace"),
            ("Ada", "", Some("hu"), "Ada"),
            ("", "Nagy", Some("hu"), "Nagy"),
            ("", "", Some("ja"), "user"),
            ("János", "Nagy", Some("hu"), "Nagy János"),
            ("János", "Nagy", Some("hu-HU"), "Nagy János"),
            ("János", "Nagy", Some("de"), "János Nagy"),
            ("Văn An", "Nguyễn", Some("vi"), "Nguyễn Văn An"),
            ("Taro", "Yamada", Some("ja"), "Yamada Taro"),
            ("Ming", "Li", Some("zh-Hant-TW"), "Li Ming"),
            ("Min-jun", "Kim", Some("ko-KR"), "Kim Min-jun"),
            ("D’Arcy", "O’Neil-Šmid", Some("vi"), "O’Neil-Šmid D’Arcy"),
            ("太郎", "山田", None, "山田太郎"),
            ("太郎", "山田", Some("en"), "山田太郎"),
            ("太郎", "佐々木", Some("ja"), "佐々木太郎"),
            ("さくら", "井ノ上", Some("ja"), "井ノ上さくら"),
            ("ヒーロー", "スター", None, "スターヒーロー"),
            ("민준", "김", None, "김민준"),
            ("明", "李", Some("zh"), "李明"),
            ("明", "", None, "明"),
            ("", "李", None, "李"),
            ("𠮷彦", "𠮷田", None, "𠮷田𠮷彦"),
            ("John", "金", Some("ko"), "John 金"),
            ("Ольга", "Иванова", Some("hu"), "Ольга Иванова"),
            ("Γιώργος", "Παπάς", None, "Γιώργος Παπάς"),
            ("محمد", "علي", None, "محمد علي"),
        ] {
            let parts = Parts {
                first,
                last,
                username: "user",
                locale,
            };
            assert_eq!(in_its_order(parts), expected);
        }
    }

    #[test]
    fn a_name_is_cut_where_a_name_may_end() {
        let parts = Parts {
            first: &"太".repeat(200),
            last: &"山".repeat(200),
            username: "user",
            locale: None,
        };
        assert_eq!(in_its_order(parts), "山".repeat(200));
    }
}
