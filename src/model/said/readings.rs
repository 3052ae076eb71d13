//! The ways to read a text: as it stands, and with encodings taken off. Pure.

use unicode_normalization::UnicodeNormalization;

use crate::model::characters::is_invisible;

/// Encodings within encodings that are taken off: a link in HTML that was quoted-printable in a report.
const DEEPEST: usize = 3;
/// Characters between `&` and `;`, and between `<` and `>`, that are looked at.
const LONGEST_ENTITY: usize = 32;
const LONGEST_TAG: usize = 300;

/// A character that is read, and where it stands in the text, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unit {
    pub c: char,
    pub from: usize,
    pub to: usize,
}

/// All of them, in which nothing invisible is left. What stands there may look encoded and not be, as the digits of
/// `pin=4821`: so each encoding is taken off or not.
pub fn readings(text: &str) -> Vec<Vec<Unit>> {
    let mut plain = Vec::with_capacity(text.len());
    for (from, c) in text.char_indices() {
        read(&mut plain, c, from, from + c.len_utf8());
    }
    let (mut all, mut begin) = (vec![plain], 0);
    for _ in 0..DEEPEST {
        let end = all.len();
        for at in begin..end {
            for decoded in [percent, quoted_printable, entities, markup] {
                let reading = decoded(&all[at]);
                if !all.contains(&reading) {
                    all.push(reading);
                }
            }
        }
        begin = end;
    }
    all
}

/// Adds what a character is: a circled or wide one is the same as a plain one.
fn read(reading: &mut Vec<Unit>, c: char, from: usize, to: usize) {
    if c.is_ascii() {
        reading.push(Unit { c, from, to });
    } else if !is_invisible(c) {
        reading.extend(std::iter::once(c).nfkc().map(|c| Unit { c, from, to }));
    }
}

/// `%34` is `4` (RFC 3986 §2.1).
fn percent(units: &[Unit]) -> Vec<Unit> {
    bytes(units, '%', |_| None)
}

/// `=34` is `4`, and `=` at the end of a line is nothing (RFC 2045 §6.7). Lines were made one: a blank is left of their
/// end, and behind it perhaps the sign with which a mail is quoted.
fn quoted_printable(units: &[Unit]) -> Vec<Unit> {
    bytes(units, '=', |units| {
        let (sign, rest) = units.split_first()?;
        let ended = rest
            .iter()
            .take_while(|unit| unit.c.is_whitespace() || unit.c == '>');
        let length = ended.count();
        (sign.c == '=' && length > 0 && rest[0].c != '>').then_some(1 + length)
    })
}

/// Takes off an encoding of bytes by a sign and two hexadecimal digits. `passed` says how much is nothing at all.
fn bytes(units: &[Unit], sign: char, passed: impl Fn(&[Unit]) -> Option<usize>) -> Vec<Unit> {
    let mut reading = Vec::with_capacity(units.len());
    let (mut encoded, mut places) = (Vec::new(), Vec::new());
    let mut at = 0;
    while at < units.len() {
        if let Some(byte) = byte(&units[at..], sign) {
            encoded.push(byte);
            places.push((units[at].from, units[at + 2].to));
            at += 3;
        } else if let Some(length) = passed(&units[at..]) {
            at += length;
        } else {
            characters(&mut reading, &encoded, &places);
            encoded.clear();
            places.clear();
            reading.push(units[at]);
            at += 1;
        }
    }
    characters(&mut reading, &encoded, &places);
    reading
}

fn byte(units: &[Unit], sign: char) -> Option<u8> {
    let [first, high, low, ..] = units else {
        return None;
    };
    let value = high.c.to_digit(16)? * 16 + low.c.to_digit(16)?;
    (first.c == sign).then(|| u8::try_from(value).ok())?
}

/// Adds the characters of these bytes; what is no UTF-8 is read as Latin-1.
fn characters(reading: &mut Vec<Unit>, bytes: &[u8], places: &[(usize, usize)]) {
    let mut at = 0;
    for chunk in bytes.utf8_chunks() {
        let valid = chunk.valid().chars().map(|c| (c, c.len_utf8()));
        let others = chunk.invalid().iter().map(|byte| (char::from(*byte), 1));
        for (c, length) in valid.chain(others) {
            read(reading, c, places[at].0, places[at + length - 1].1);
            at += length;
        }
    }
}

/// `&#52;` and `&#x34;` are `4`. Of those with names only the ones that matter are told apart: others are blanks.
fn entities(units: &[Unit]) -> Vec<Unit> {
    let mut reading = Vec::with_capacity(units.len());
    let mut at = 0;
    while at < units.len() {
        if let Some((c, length)) = entity(&units[at..]) {
            read(&mut reading, c, units[at].from, units[at + length - 1].to);
            at += length;
        } else {
            reading.push(units[at]);
            at += 1;
        }
    }
    reading
}

fn entity(units: &[Unit]) -> Option<(char, usize)> {
    let (first, rest) = units.split_first()?;
    if first.c != '&' {
        return None;
    }
    let rest = &rest[..rest.len().min(LONGEST_ENTITY)];
    let is_of_name = |unit: &&Unit| unit.c.is_ascii_alphanumeric() || unit.c == '#';
    let name: String = rest
        .iter()
        .take_while(is_of_name)
        .map(|unit| unit.c)
        .collect();
    let ends = rest.get(name.len()).is_some_and(|unit| unit.c == ';');
    let length = 1 + name.len() + usize::from(ends);
    if let Some(number) = name.strip_prefix('#') {
        let value = match number.strip_prefix(['x', 'X']) {
            Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16),
            None => number.parse(),
        };
        return Some((char::from_u32(value.ok()?)?, length));
    }
    let c = match name.as_str() {
        "" => return None,
        _ if !ends => return None,
        "amp" => '&',
        "lt" => '<',
        "gt" => '>',
        "num" => '#',
        "semi" => ';',
        "percnt" => '%',
        "equals" => '=',
        "sol" => '/',
        "commat" => '@',
        "lowbar" => '_',
        "hyphen" | "dash" => '-',
        "shy" | "zwj" | "zwnj" | "lrm" | "rlm" | "NoBreak" | "ZeroWidthSpace" => '\u{200B}',
        _ => ' ',
    };
    Some((c, length))
}

/// Without `<b>` and the like. An address in brackets is none.
fn markup(units: &[Unit]) -> Vec<Unit> {
    let mut reading = Vec::with_capacity(units.len());
    let mut at = 0;
    while at < units.len() {
        if let Some(length) = tag(&units[at..]) {
            at += length;
        } else {
            reading.push(units[at]);
            at += 1;
        }
    }
    reading
}

fn tag(units: &[Unit]) -> Option<usize> {
    let [first, second, ..] = units else {
        return None;
    };
    if first.c != '<' || !(second.c.is_ascii_alphabetic() || matches!(second.c, '/' | '!')) {
        return None;
    }
    let rest = &units[1..units.len().min(LONGEST_TAG)];
    let end = rest
        .iter()
        .position(|unit| matches!(unit.c, '<' | '>' | '@'))?;
    (rest[end].c == '>').then_some(end + 2)
}
