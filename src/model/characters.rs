//! What kind of character something is, after the Unicode character database. Pure.

use icu_properties::{
    CodePointMapData, CodePointSetData,
    props::{EmojiModifier, ExtendedPictographic, GeneralCategory, Script},
};
use unicode_normalization::UnicodeNormalization;

fn category(c: char) -> GeneralCategory {
    CodePointMapData::<GeneralCategory>::new().get(c)
}

/// The value of a decimal digit of any script (Nd). Digits of one script follow each other in tens, from zero on.
pub fn digit(c: char) -> Option<u8> {
    if c.is_ascii() {
        return c.to_digit(10).and_then(|value| u8::try_from(value).ok());
    }
    let is_digit = |c: char| category(c) == GeneralCategory::DecimalNumber;
    if !is_digit(c) {
        return None;
    }
    let before = (1..)
        .map_while(|back| char::from_u32(u32::from(c).checked_sub(back)?))
        .take_while(|c| is_digit(*c))
        .count();
    u8::try_from(before % 10).ok()
}

/// Whether it is a dash of any kind (Pd), or the minus sign.
pub fn is_dash(c: char) -> bool {
    c == '\u{2212}' || category(c) == GeneralCategory::DashPunctuation
}

/// Whether it is a blank (Zs), or one that ends a line or a cell.
pub fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\r' | '\n') || category(c) == GeneralCategory::SpaceSeparator
}

/// Whether nobody sees it (Cf). A few signs of the category are seen: they stand before numbers.
pub fn is_invisible(c: char) -> bool {
    category(c) == GeneralCategory::Format && !is_number_sign(c)
}

/// Signs that enclose or precede digits (Prepended_Concatenation_Mark).
fn is_number_sign(c: char) -> bool {
    matches!(
        c,
        '\u{0600}'..='\u{0605}'
            | '\u{06DD}'
            | '\u{070F}'
            | '\u{0890}'..='\u{0891}'
            | '\u{08E2}'
            | '\u{110BD}'
            | '\u{110CD}'
    )
}

/// Whether it belongs to the letter before it, as an accent does (Mn, Mc, Me).
pub fn is_mark(c: char) -> bool {
    use GeneralCategory::{EnclosingMark, NonspacingMark, SpacingMark};
    matches!(category(c), NonspacingMark | SpacingMark | EnclosingMark)
}

fn script(c: char) -> Script {
    CodePointMapData::<Script>::new().get(c)
}

/// Whether a joiner (U+200C, U+200D) between these two says how they are written, as scripts such as Arabic and Devanagari
/// need it, and pictures that make one of several. Between other letters it is only an invisible character.
fn is_joined(before: char, after: char) -> bool {
    let is_picture = |c| CodePointSetData::new::<ExtendedPictographic>().contains(c);
    let needs = |c: char| {
        !matches!(
            script(c),
            Script::Common
                | Script::Inherited
                | Script::Latin
                | Script::Greek
                | Script::Cyrillic
                | Script::Armenian
                | Script::Hebrew
                | Script::Han
                | Script::Hiragana
                | Script::Katakana
                | Script::Hangul
        )
    };
    (needs(before) && (needs(after) || script(after) == Script::Inherited))
        || (is_picture(before) && is_picture(after))
}

/// The first invisible character inside a text that no script needs there.
pub fn hidden_inside(text: &str) -> Option<char> {
    // What changes the letter before it is none itself.
    let changes =
        |c| script(c) == Script::Inherited || CodePointSetData::new::<EmojiModifier>().contains(c);
    let mut before = ' ';
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        let is_joiner = matches!(c, '\u{200C}' | '\u{200D}');
        let after = rest.peek().copied().unwrap_or(' ');
        if is_invisible(c) && !(is_joiner && is_joined(before, after)) {
            return Some(c);
        }
        before = if is_joiner {
            ' '
        } else if changes(c) {
            before
        } else {
            c
        };
    }
    None
}

/// Letters and digits alone, in lower case and without accents: `Prénom`, `PRENOM` and `pre-nom` are the same, and so
/// are `firstName` and `first_name`. Marks that make another letter of one, as in Japanese, stay.
pub fn folded(text: &str) -> String {
    let is_accent = |c: &char| matches!(c, '\u{300}'..='\u{36F}');
    let bare = text.nfkd().filter(|c| !is_accent(c)).nfc();
    let lower = bare.flat_map(char::to_lowercase);
    // What was taken out may have stood between two marks, which have an order of their own.
    lower.filter(|c| c.is_alphanumeric()).nfc().collect()
}

/// The same for all texts that look alike (the skeleton of Unicode TR 39): `ada` with the `а` of Cyrillic, too.
pub fn looks(text: &str) -> String {
    unicode_security::skeleton(&text.to_lowercase()).collect()
}

/// The text without blanks and invisible characters at its ends.
pub fn trimmed(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || is_invisible(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_count_by_value_whatever_script_they_are_of() {
        for (text, value) in [
            ("0123456789", "0123456789"),
            ("٠١٢٣٤٥٦٧٨٩", "0123456789"),
            ("۰۱۲۳۴۵۶۷۸۹", "0123456789"),
            ("०१२३४५६७८९", "0123456789"),
            ("০১২৩৪৫৬৭৮৯", "0123456789"),
            ("๐๑๒๓๔๕๖๗๘๙", "0123456789"),
            ("០១២៣៤៥៦៧៨៩", "0123456789"),
            ("໐໑໒໓໔໕໖໗໘໙", "0123456789"),
            ("０１２３４５６７８９", "0123456789"),
            ("𝟎𝟏𝟐𝟑𝟒𝟓𝟔𝟕𝟖𝟗𝟘𝟙", "012345678901"),
            ("𞥐𞥑𞥒𞥓𞥔𞥕𞥖𞥗𞥘𞥙", "0123456789"),
            ("᧐᧑᧒᧓᧔᧕᧖᧗᧘᧙", "0123456789"),
        ] {
            let read: String = text
                .chars()
                .map(|c| char::from(b'0' + digit(c).unwrap()))
                .collect();
            assert_eq!(read, value, "{text}");
        }
        for c in ['a', '²', '½', 'Ⅳ', '四', '①', '᧚', ' ', '.'] {
            assert_eq!(digit(c), None, "{c}");
        }
    }

    #[test]
    fn a_joiner_is_seen_by_those_whose_script_needs_it() {
        for (text, hidden) in [
            ("نامه\u{200C}ای", None),
            ("क्\u{200D}ष", None),
            ("ada\u{200D}lovelace", Some('\u{200D}')),
            ("ada\u{200B}", Some('\u{200B}')),
            ("a\u{00AD}b", Some('\u{00AD}')),
            ("a\u{FEFF}b", Some('\u{FEFF}')),
            ("a\u{2060}b", Some('\u{2060}')),
            ("a\u{200E}b", Some('\u{200E}')),
            ("a\u{E0041}b", Some('\u{E0041}')),
            ("山\u{200C}田", Some('\u{200C}')),
            ("x\u{301}\u{200D}\u{301}", Some('\u{200D}')),
            ("x\u{301}\u{200D}", Some('\u{200D}')),
            ("👩\u{200D}a", Some('\u{200D}')),
            ("👩\u{200D}\u{200D}💻", Some('\u{200D}')),
            ("Ada 👩\u{200D}💻", None),
            ("👩🏽\u{200D}💻", None),
            ("❤\u{FE0F}\u{200D}🔥", None),
            ("👨\u{200D}👩\u{200D}👧", None),
            ("بَ\u{200C}ا", None),
            ("Ada Lovelace", None),
            ("\u{0600}١٢", None),
        ] {
            assert_eq!(hidden_inside(text), hidden, "{text:?}");
        }
        assert_eq!(trimmed("\u{FEFF} ada\u{200B}\u{A0}"), "ada");
    }
}
