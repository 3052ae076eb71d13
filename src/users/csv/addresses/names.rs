//! What the words of an entry say: a name, an address, or what was meant as one. Pure.

use percent_encoding::percent_decode_str;
use unicode_normalization::char::is_combining_mark;

use super::marks::{self, is_invisible, is_joiner, is_margin, is_opening_quote, is_scheme};
use crate::model::{
    identity::{DisplayName, Email, PersonName},
    wire::Flaw,
};

/// Behind a comma, these are no given name: `Widgets, Inc.`
const SUFFIXES: [&str; 19] = [
    "jr", "sr", "ii", "iii", "iv", "phd", "md", "dds", "esq", "inc", "ltd", "llc", "llp", "gmbh",
    "ag", "sa", "bv", "co", "plc",
];

/// Characters of a text that a fault shows.
const MOST_SHOWN: usize = 60;

/// A name as far as a list gives it.
#[derive(Debug, Default)]
pub(super) struct Name {
    pub(super) first: Option<PersonName>,
    pub(super) last: Option<PersonName>,
    /// Unless first and last name say it.
    pub(super) display: Option<DisplayName>,
}

/// The name that the texts give, which commas parted.
///
/// # Errors
/// They are no name, such as one that is too long: none is cut, and none left out.
pub(super) fn name<'a>(texts: impl Iterator<Item = &'a str>, address: &str) -> Result<Name, Flaw> {
    let mut is_quoted = false;
    let texts: Vec<String> = texts
        .map(|text| match unquoted(text.trim()) {
            Some(inside) => {
                is_quoted = true;
                tidy(&inside)
            }
            None => tidy(text),
        })
        .filter(|text| !text.is_empty() && !text.eq_ignore_ascii_case(address))
        .collect();
    let whole = texts.join(", ");
    let two = match &texts[..] {
        [one] if is_quoted => one.split_once(','),
        [family, given] => Some((family.as_str(), given.as_str())),
        _ => None,
    };
    let (last, first) = two
        .and_then(|(family, given)| family_and_given(family, given))
        .unzip();
    let is_said = whole.is_empty() || (first.is_some() && !is_quoted);
    let display = if is_said {
        None
    } else {
        Some(DisplayName::parse(&whole)?)
    };
    Ok(Name {
        first,
        last,
        display,
    })
}

fn family_and_given(family: &str, given: &str) -> Option<(PersonName, PersonName)> {
    let is_one = !given.contains(',') && !is_suffix(given);
    let parse = |text: &str| {
        let name = PersonName::parse(text).ok()?;
        (!name.as_str().is_empty()).then_some(name)
    };
    is_one.then(|| Some((parse(family)?, parse(given)?)))?
}

/// Whether a text behind a comma belongs to the name before it.
pub(in super::super) fn is_suffix(text: &str) -> bool {
    let plain = text.trim().replace('.', "").to_lowercase();
    SUFFIXES.contains(&plain.as_str())
}

/// What is in quotes, if all of the text is.
fn unquoted(text: &str) -> Option<String> {
    let is_whole =
        text.starts_with(is_opening_quote) && marks::closing_quote(text) == Some(text.len());
    if !is_whole {
        return None;
    }
    let mut bare = String::new();
    let mut chars = marks::inside(text).chars();
    while let Some(c) = chars.next() {
        bare.push(match c {
            '\\' => chars.next().unwrap_or('\\'),
            c => c,
        });
    }
    Some(bare)
}

/// One line with single spaces, without what decorates a name.
fn tidy(text: &str) -> String {
    let seen: String = text
        .chars()
        .filter(|c| !is_invisible(*c) || is_joiner(*c))
        .collect();
    let words: Vec<&str> = seen.split_whitespace().collect();
    let line = words.join(" ");
    let bare = line.trim_matches(|c: char| {
        is_invisible(c) || " *_`~|–—:-".contains(c) || marks::is_comma(c) || marks::is_semicolon(c)
    });
    let pairs = [('\'', '\''), ('‘', '’'), ('[', ']'), ('「', '」')];
    pairs
        .iter()
        .find_map(|(open, close)| bare.strip_prefix(*open)?.strip_suffix(*close))
        .unwrap_or(bare)
        .trim()
        .to_owned()
}

/// The address that a word or a link holds, as far as it can be told.
pub(super) fn address(text: &str) -> String {
    let narrow: String = text.chars().map(narrowed).collect();
    let narrow = narrow.trim_matches(is_margin);
    let target = narrow
        .split_once(':')
        .filter(|(scheme, _)| is_scheme(scheme));
    let Some((_, target)) = target else {
        return bare(narrow);
    };
    // Slack writes `<mailto:ada@example.com|ada@example.com>`.
    let (target, rest) = target.split_at(target.find(['?', '|']).unwrap_or(target.len()));
    let address = bare(&percent_decode_str(target).decode_utf8_lossy());
    if holds_another(rest, &address) {
        return narrow.to_owned();
    }
    address
}

/// Whether a text around an address, or beside it, has another one.
pub(super) fn holds_another(text: &str, address: &str) -> bool {
    let address = self::address(address);
    let ends = |c: char| marks::ends_word(c) || "'[]|:=&?/".contains(c);
    text.split(ends)
        .filter(|word| word.contains(['@', '＠']))
        .any(|word| !self::address(word).eq_ignore_ascii_case(&address))
}

/// Without the marks that stand behind an address, or around one as in `**ada@example.com**`.
fn bare(text: &str) -> String {
    let ended = text.trim_end_matches(|c: char| !c.is_alphanumeric() && !is_combining_mark(c));
    let begun = ended.trim_start_matches(|c| is_margin(c) || "([{:.".contains(c));
    let is_decorated = text.ends_with(DECORATION);
    let bare = if is_decorated {
        begun.trim_start_matches(DECORATION)
    } else {
        begun
    };
    bare.to_owned()
}

/// Allowed in an address, too.
const DECORATION: [char; 6] = ['*', '_', '`', '\'', '~', '|'];

/// A full-width letter or mark as it is usually written.
fn narrowed(c: char) -> char {
    match c {
        '\u{FF01}'..='\u{FF5E}' => char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c),
        '。' => '.',
        c => c,
    }
}

/// Whether a text between commas may be a part of a name. Where it is not sure that it is one, a single word in small
/// letters is rather somebody whose address lacks its end.
pub(super) fn may_be_name(text: &str, is_unsure: bool) -> bool {
    let is_word = !text.trim().contains(char::is_whitespace)
        && text
            .trim()
            .starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let is_host = |word: &str| {
        let word = word.trim_end_matches([',', ';']);
        word.rsplit_once('.').is_some_and(|(host, end)| {
            host.ends_with(char::is_alphanumeric)
                && end.len() >= 2
                && end.chars().all(|c| c.is_ascii_lowercase())
        })
    };
    !(is_unsure && is_word) && meant(text).is_none() && !text.split_whitespace().any(is_host)
}

/// The address that `ada at example.com`, `ada (at) example (dot) com` or `ada @ example.com` stands for.
fn meant(text: &str) -> Option<String> {
    let spaced = text.replace(['(', ')', '[', ']', '{', '}', '（', '）'], " ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let is_mark = |word: &str, mark| marks::spelt_mark(word) == Some(mark);
    let at = words.iter().position(|word| is_mark(word, '@'))?;
    let mut start = at.checked_sub(1)?;
    while start >= 2 && is_mark(words[start - 1], '.') {
        start -= 2;
    }
    let mut end = at + 2;
    while end + 1 < words.len() && is_mark(words[end], '.') {
        end += 2;
    }
    let mut address = String::new();
    for word in words.get(start..end)? {
        match marks::spelt_mark(word) {
            Some(mark) => address.push(mark),
            None => address.push_str(word),
        }
    }
    let address = self::address(&address);
    let (_, host) = address.rsplit_once('@')?;
    (host.contains('.') && Email::parse(&address).is_ok()).then_some(address)
}

/// Whether a text stands for an address: `ada at example.com`.
pub(super) fn is_meant(text: &str) -> bool {
    meant(text).is_some()
}

/// Why a text is no entry, or the address of one is none; `whole` is shown.
pub(super) fn refusal(text: &str, whole: &str) -> Flaw {
    let shown = shown(whole);
    if whole.contains(marks::BROKEN) {
        return Flaw::new("not_utf8", format!("`{shown}` is not UTF-8"));
    }
    match (meant(text), Email::parse(text.trim())) {
        (Some(address), _) => Flaw::new(
            "invalid_email",
            format!("`{shown}` is no e-mail address; if `{address}` is meant, write that"),
        ),
        (None, Err(flaw)) if text.contains(['@', '＠']) => {
            Flaw::new(flaw.code, format!("`{shown}` {}", flaw.detail))
        }
        _ => Flaw::new(
            "invalid_email",
            format!(
                "`{shown}` must be one e-mail address, such as ada@example.com, or stand beside one: \
                 Ada Lovelace <ada@example.com>"
            ),
        ),
    }
}

/// It is not clear whom a text is about.
pub(super) fn doubt(whole: &str, why: &str) -> Flaw {
    Flaw::new("ambiguous_entry", format!("`{}` {why}", shown(whole)))
}

/// What is in front of an address may be its name, or other people.
pub(super) fn two_or_one(whole: &str, names: &str) -> Flaw {
    let names = shown(&names.replace(['"', '\\'], ""));
    doubt(
        whole,
        &format!(
            "may be one person or several; if that is one name, write it in quotes: \"{names}\" <…>; if not, write an \
             address behind each person"
        ),
    )
}

/// Why the name of an entry is none.
pub(super) fn no_name(whole: &str, why: &str) -> Flaw {
    let shown = shown(whole);
    Flaw::new(
        "invalid_name",
        format!(
            "the name in `{shown}` cannot be taken: it {why}; change it, or write the address alone"
        ),
    )
}

/// A text as a fault shows it: a line may hold hundreds, and which one is it? Addresses are shown however long it is.
pub(super) fn shown(text: &str) -> String {
    let mut shown = String::new();
    let mut is_cut = false;
    for word in text.split_whitespace() {
        let room = MOST_SHOWN.saturating_sub(shown.chars().count());
        let is_address = word.contains(['@', '＠']);
        if !is_address && is_cut {
            continue;
        }
        if !shown.is_empty() {
            shown.push(' ');
        }
        if is_address || word.chars().count() < room {
            shown.push_str(word);
        } else {
            shown.extend(word.chars().take(room));
            shown.push('…');
            is_cut = true;
        }
    }
    shown
}
