//! What people call a language: its tag (BCP 47), its code in a directory, or its name. Pure.

use std::{collections::HashMap, sync::LazyLock};

use icu_locale::{LanguageIdentifier, Locale, LocaleCanonicalizer};

use super::characters::{folded, trimmed};

/// The languages of the mails, with their names in each of them, separated by `|`.
const NAMES: [(&str, &str); 8] = [
    (
        "en",
        "English|anglais|Englisch|inglés|inglese|inglês|Engels|英語",
    ),
    (
        "fr",
        "French|français|Französisch|Franzoesisch|francés|francese|francês|Frans|フランス語|仏語",
    ),
    (
        "de",
        "German|allemand|Deutsch|alemán|tedesco|alemão|Duits|ドイツ語|独語",
    ),
    (
        "es",
        "Spanish|espagnol|Spanisch|español|castellano|castellan|spagnolo|espanhol|Spaans|スペイン語",
    ),
    (
        "it",
        "Italian|italien|Italienisch|italiano|Italiaans|イタリア語",
    ),
    (
        "pt",
        "Portuguese|portugais|Portugiesisch|portugués|portoghese|português|Portugees|ポルトガル語",
    ),
    (
        "nl",
        "Dutch|Flemish|néerlandais|Niederländisch|Niederlaendisch|Holländisch|Hollaendisch|neerlandés|holandés|\
         olandese|neerlandese|neerlandês|holandês|Nederlands|オランダ語",
    ),
    (
        "ja",
        "Japanese|japonais|Japanisch|japonés|giapponese|japonês|Japans|日本語",
    ),
];

static BY_NAME: LazyLock<HashMap<String, &str>> = LazyLock::new(|| {
    let names = NAMES.iter();
    names
        .flat_map(|(tag, names)| names.split('|').map(|name| (folded(name), *tag)))
        .collect()
});

/// The tag of a language, in its usual form: `deu` and `Deutsch` are `de`. `None` for what is neither a tag nor a known name.
pub(super) fn tag(text: &str) -> Option<String> {
    let text = trimmed(text);
    // `English (US)`, as some systems write it.
    let name = text.split(['(', '（']).next().unwrap_or_default();
    if let Some(tag) = BY_NAME.get(&folded(name)) {
        return Some((*tag).to_owned());
    }
    // POSIX has a code set behind a dot, and a variant behind an @.
    let tag = text.split(['.', '@']).next()?;
    if !(2..=35).contains(&tag.len()) {
        return None;
    }
    let mut locale = Locale::from(tag.replace('_', "-").parse::<LanguageIdentifier>().ok()?);
    LocaleCanonicalizer::new_extended().canonicalize(&mut locale);
    // Longer ones are kept free (RFC 5646 §2.2.1), and are words such as `deutsch` that no table above has.
    let language = locale.id.language;
    let is_code = !language.is_unknown() && language.as_str().len() <= 3;
    is_code.then(|| locale.id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_language_is_known_by_its_names() {
        for (language, names) in NAMES {
            let names: Vec<&str> = names.split('|').collect();
            assert!(names.len() >= 6, "{language}");
            for name in names {
                for name in [
                    name.to_owned(),
                    name.to_uppercase(),
                    format!(" {name} (X) "),
                ] {
                    assert_eq!(tag(&name).as_deref(), Some(language), "{name}");
                }
            }
        }
        for (name, language) in [
            ("francais", "fr"),
            ("deu", "de"),
            ("ger", "de"),
            ("FRA", "fr"),
            ("fre", "fr"),
            ("eng-GB", "en-GB"),
            ("jpn", "ja"),
            ("English (United States)", "en"),
            ("Deutsch (Schweiz)", "de"),
            ("iw", "he"),
            ("no", "no"),
            ("nb", "nb"),
            ("gsw", "gsw"),
            ("sr-Latn-RS", "sr-Latn-RS"),
        ] {
            assert_eq!(tag(name).as_deref(), Some(language), "{name}");
        }
        for name in [
            "Klingonisch",
            "svenska",
            "Polnisch",
            "polski",
            "und",
            "C",
            "POSIX",
            "default",
            "french language",
            "abcdefgh",
            "de, fr",
            "()",
            "",
            "1031",
        ] {
            assert_eq!(tag(name), None, "{name}");
        }
    }
}
