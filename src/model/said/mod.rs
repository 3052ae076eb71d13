//! What mail servers and reports say, without the secrets that they quote. Pure.
//!
//! A server may quote the mail that it objects to, in any encoding and cut off anywhere. So secrets are known by their shape,
//! whoever they belong to: links under `/enroll/`, 20 or more characters of base64url in a row, four or more digits that no
//! letter parts. Reply codes and enhanced status codes stay ([`codes`]); addresses of machines, dates and queue ids may be lost.

mod codes;
mod readings;
#[cfg(test)]
mod tests;

use std::ops::Range;

use codes::Kept;
use readings::{Unit, readings};

use super::characters::digit;

/// Characters that are kept of a server's words.
pub const LONGEST: usize = 400;
/// Characters that are looked at: encodings take up to six for one.
const LONGEST_READ: usize = 2_400;
/// What stands in the place of a secret.
const MASK: &str = "***";
/// Characters of base64url that may be a token.
const TOKEN: usize = 20;
/// Digits that may be a PIN.
const PIN: usize = 4;
/// What a link to an enrollment has before its token.
const LINK: &str = "/enroll/";

/// A server's words on one line of at most 400 characters, with `***` for whatever has the shape of a secret.
///
/// What is masked already stays as it is.
pub fn masked(words: &str) -> String {
    let mut text = cut(&one_line(words), LONGEST_READ);
    // What is masked brings others together, and what is cut may be of another shape: again until nothing changes.
    // Each round takes letters or digits away.
    loop {
        let next = cut(&replaced(&text, secrets(&text)), LONGEST);
        if next == text {
            return text;
        }
        text = next;
    }
}

/// The same for a log, where addresses are masked, too: `a***@example.com`.
pub fn for_log(words: &str) -> String {
    let text = masked(words);
    let mut found = Vec::new();
    for reading in readings(&text) {
        for at in (0..reading.len()).filter(|at| reading[*at].c == '@') {
            found.extend(local_part(&reading, at));
        }
    }
    replaced(&text, found)
}

fn one_line(text: &str) -> String {
    let words = text.split(|c: char| c.is_control() || c.is_whitespace());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    words.join(" ")
}

fn cut(text: &str, longest: usize) -> String {
    let cut: String = text.chars().take(longest).collect();
    cut.trim_end().to_owned()
}

/// Where there are secrets, in bytes of the text.
fn secrets(text: &str) -> Vec<Range<usize>> {
    let kept = codes::kept(text);
    let mut found = Vec::new();
    for reading in readings(text) {
        links(&reading, &mut found);
        tokens(&reading, &kept, &mut found);
        pins(&reading, &kept, &mut found);
    }
    found
}

/// The text with [`MASK`] in each of these places.
fn replaced(text: &str, mut places: Vec<Range<usize>>) -> String {
    places.sort_by_key(|place| place.start);
    let (mut replaced, mut done) = (String::with_capacity(text.len()), 0);
    let mut places = places.into_iter().peekable();
    while let Some(mut place) = places.next() {
        while let Some(next) = places.next_if(|next| next.start <= place.end) {
            place.end = place.end.max(next.end);
        }
        replaced.push_str(&text[done..place.start]);
        replaced.push_str(MASK);
        done = place.end;
    }
    replaced.push_str(&text[done..]);
    replaced
}

/// From the first of these units to the last.
fn place(units: &[Unit]) -> Option<Range<usize>> {
    let (first, last) = (units.first()?, units.last()?);
    // A decoded character begins where its encoding does; in between nothing is out of order.
    Some(first.from..last.to)
}

fn kept_at<'a>(kept: &'a [Kept], unit: &Unit) -> Option<&'a Kept> {
    let at = kept.partition_point(|kept| kept.place.end <= unit.from);
    kept.get(at).filter(|kept| kept.place.start <= unit.from)
}

/// What follows [`LINK`], up to a blank, a quotation mark or a bracket.
fn links(reading: &[Unit], found: &mut Vec<Range<usize>>) {
    let ends = |c: char| c.is_whitespace() || "\"'`<>()[]{}\\^|".contains(c);
    let is_link = |units: &[Unit]| {
        let pairs = units.iter().zip(LINK.chars());
        pairs.clone().count() == LINK.len()
            && pairs.clone().all(|(u, c)| u.c.eq_ignore_ascii_case(&c))
    };
    for at in (0..reading.len()).filter(|at| is_link(&reading[*at..])) {
        let rest = &reading[at + LINK.len()..];
        let length = rest.iter().take_while(|unit| !ends(unit.c)).count();
        let rest = &rest[..length];
        if rest.iter().any(|unit| unit.c.is_alphanumeric()) {
            found.extend(place(rest));
        }
    }
}

/// Characters of base64url in a row; and in pieces, if each looks like one of a token and there are only signs between.
fn tokens(reading: &[Unit], kept: &[Kept], found: &mut Vec<Range<usize>>) {
    let is_of_token = |unit: &Unit| {
        (unit.c.is_ascii_alphanumeric() || matches!(unit.c, '-' | '_'))
            && kept_at(kept, unit).is_none()
    };
    let (mut pieces, mut length): (Option<Range<usize>>, usize) = (None, 0);
    let mut at = 0;
    while at < reading.len() {
        let row = reading[at..].iter().take_while(|unit| is_of_token(unit));
        let end = at + row.count();
        if end == at {
            if reading[at].c.is_alphanumeric() {
                pieces = None;
            }
            at += 1;
            continue;
        }
        let row = &reading[at..end];
        let text: String = row.iter().map(|unit| unit.c).collect();
        if row.len() >= TOKEN
            && text.contains(|c: char| c.is_ascii_alphanumeric())
            && !is_words(&text)
        {
            found.extend(place(row));
        }
        if is_random(&text) {
            let begin = pieces.take().map_or(at, |pieces| pieces.start);
            length = if begin == at {
                row.len()
            } else {
                length + row.len()
            };
            pieces = Some(begin..end);
            if length >= TOKEN {
                found.extend(place(&reading[begin..end]));
            }
        } else {
            pieces = None;
        }
        at = end;
    }
}

/// Whether it is words written as one, such as `SubmissionQuotaExceededException`. Of a million pieces of a token, 20
/// characters long, some six are written so.
fn is_words(text: &str) -> bool {
    let mut rest = text;
    while let Some(word) = rest.strip_prefix(|c: char| c.is_ascii_uppercase()) {
        rest = word.trim_start_matches(|c: char| c.is_ascii_lowercase());
        if word.len() - rest.len() < 2 {
            return false;
        }
    }
    rest.is_empty()
}

/// Whether it has digits among letters, or capitals where words have none.
fn is_random(text: &str) -> bool {
    let has = |kind: fn(&char) -> bool| text.chars().any(|c| kind(&c));
    let (lower, upper) = (has(char::is_ascii_lowercase), has(char::is_ascii_uppercase));
    let is_plain = |part: &str| {
        is_words(part)
            || !part.chars().skip(1).any(|c| c.is_ascii_uppercase())
            || !part.contains(|c: char| c.is_ascii_lowercase())
    };
    let is_mixed = !text.split(['-', '_']).all(is_plain);
    (lower || upper) && (has(char::is_ascii_digit) || is_mixed)
}

/// Digits of any script that no letter parts, whatever else is between them.
fn pins(reading: &[Unit], kept: &[Kept], found: &mut Vec<Range<usize>>) {
    let mut digits: Vec<Unit> = Vec::new();
    let mut least = PIN;
    let mut end = |digits: &mut Vec<Unit>, least: usize| {
        if digits.len() >= least {
            found.extend(place(digits));
        }
        digits.clear();
    };
    for (at, unit) in reading.iter().enumerate() {
        let is_before_blank = reading.get(at + 1).is_some_and(|next| next.c == ' ');
        if let Some(kept) = kept_at(kept, unit) {
            end(&mut digits, least);
            // Three digits were kept of what may be one number.
            least = if kept.may_be_of_a_number { 1 } else { PIN };
        } else if digit(unit.c).is_some() {
            digits.push(*unit);
        } else if unit.c.is_alphabetic() || (unit.c == ':' && is_before_blank) {
            end(&mut digits, least);
            least = PIN;
        }
    }
    end(&mut digits, least);
}

/// What is masked of the local part before an `@`: all but its first letter, if it has others.
fn local_part(reading: &[Unit], at: usize) -> Option<Range<usize>> {
    let before = &reading[..at];
    let begin = match before.split_last() {
        Some((quote, quoted)) if quote.c == '"' => quoted.iter().rposition(|unit| unit.c == '"')?,
        _ => {
            let ends = |c: char| c.is_whitespace() || "<>()[],;:\"\\".contains(c);
            before
                .iter()
                .rposition(|unit| ends(unit.c))
                .map_or(0, |end| end + 1)
        }
    };
    let local = &before[begin..];
    place(if local.len() > 1 { &local[1..] } else { local })
}
