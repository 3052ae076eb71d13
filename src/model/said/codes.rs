//! Reply codes (RFC 5321 §4.2) and enhanced status codes (RFC 3463) in a server's words, which stay. Pure.

use std::ops::Range;

/// What stands before the code in the reason of a message: where in a transaction it was said. Ours, so it stays.
const STAGES: [&str; 11] = [
    "before sending: ",
    "TLS handshake: ",
    "greeting and EHLO: ",
    "STARTTLS: ",
    "AUTH: ",
    "RSET: ",
    "MAIL FROM: ",
    "RCPT TO: ",
    "DATA: ",
    "message content: ",
    "end of message: ",
];
/// Then comes the server's name, and a colon.
const CONNECTING: &str = "connecting to ";

/// A part of the text that stays whatever its shape, in bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct Kept {
    pub place: Range<usize>,
    /// It is three digits, and others that follow may be of the same number: `450 177`.
    pub may_be_of_a_number: bool,
}

/// All of them, in order. A code at the beginning is one; elsewhere, a code with a status of its class (RFC 2034 §4), or
/// a status with no other digits around it: `5.1.1 234` may be a number in parts.
pub fn kept(text: &str) -> Vec<Kept> {
    let ours = ours(text);
    let mut kept = Vec::new();
    let mut keep = |place: Range<usize>, may_be_of_a_number| {
        if !place.is_empty() {
            kept.push(Kept {
                place,
                may_be_of_a_number,
            });
        }
    };
    keep(0..ours, false);
    let mut at = ours;
    while at < text.len() {
        let before = text[..at].chars().next_back();
        let begins = at == ours
            || before.is_none_or(|c| !c.is_alphanumeric() && !matches!(c, '.' | '-' | '_' | '/'));
        let (end, is_number) = if !begins {
            (None, false)
        } else if let Some(end) = with_status(&text[at..]) {
            (Some(at + end), false)
        } else if at == ours && code(&text[at..]).is_some() {
            (Some(at + 3), true)
        } else {
            let alone = status(&text[at..]).map(|end| at + end);
            (
                alone.filter(|end| stands_alone(&text[..at], &text[*end..])),
                false,
            )
        };
        if let Some(end) = end {
            keep(at..end, is_number);
        }
        at = next(text, end.unwrap_or(at + 1));
    }
    kept
}

/// The next place at which a character begins.
fn next(text: &str, at: usize) -> usize {
    (at..text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len())
}

/// Where the server's own words begin: behind the stage, and behind the kind of a diagnostic (RFC 3464 §2.3.6).
fn ours(text: &str) -> usize {
    if let Some(stage) = STAGES.iter().find(|stage| text.starts_with(**stage)) {
        return stage.len();
    }
    if let Some(server) = text.strip_prefix(CONNECTING) {
        let end = server
            .find(": ")
            .filter(|end| !server[..*end].contains([' ', '/']));
        return end.map_or(0, |end| CONNECTING.len() + end + 2);
    }
    let kind = text
        .get(..5)
        .filter(|kind| kind.eq_ignore_ascii_case("smtp;"));
    kind.map_or(0, |kind| {
        kind.len() + usize::from(text[kind.len()..].starts_with(' '))
    })
}

/// Three digits at the beginning that may be a code; gives its class.
fn code(text: &str) -> Option<u8> {
    let [class @ b'2'..=b'5', b'0'..=b'5', b'0'..=b'9', rest @ ..] = text.as_bytes() else {
        return None;
    };
    let ends = !rest
        .first()
        .is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'.');
    ends.then_some(*class)
}

/// A code and its status: `550 5.1.1`, `550-5.7.1`, `550 #5.1.0`. Gives where they end.
fn with_status(text: &str) -> Option<usize> {
    let class = code(text)?;
    let behind = &text[3..];
    let rest = behind.trim_start_matches([' ', '-', '#', '(', '[', ':']);
    let between = behind.len() - rest.len();
    let end = status(rest)?;
    ((1..=3).contains(&between) && rest.as_bytes()[0] == class).then_some(3 + between + end)
}

/// A status at the beginning; gives where it ends.
fn status(text: &str) -> Option<usize> {
    let [
        b'2' | b'4' | b'5',
        b'.',
        subject @ b'0'..=b'7',
        b'.',
        rest @ ..,
    ] = text.as_bytes()
    else {
        return None;
    };
    let length = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let detail: u16 = std::str::from_utf8(&rest[..length]).ok()?.parse().ok()?;
    let is_plain = length == 1 || (length == 2 && detail >= 10);
    let is_exchanges = length == 3 && is_known(subject - b'0', detail);
    if !is_plain && !is_exchanges {
        return None;
    }
    let mut behind = text[4 + length..].chars();
    let ends = match behind.next() {
        None => true,
        Some('.' | '-' | '/' | '_' | ',') => !behind.next().is_some_and(char::is_alphanumeric),
        Some(c) => !c.is_alphanumeric() && c != '=' && c != '%',
    };
    ends.then_some(4 + length)
}

/// Details of three digits are only Exchange's, by its list of non-delivery reports: others may be parts of a PIN.
fn is_known(subject: u8, detail: u16) -> bool {
    matches!(
        (subject, detail),
        (0, 350) | (2, 121 | 122) | (3, 190 | 300..=399) | (4, 300..=399) | (7, 100..=399 | 500..=899)
    )
}

/// Whether the nearest letter or digit on either side is no digit, in the same sentence.
fn stands_alone(before: &str, behind: &str) -> bool {
    let before = before.rfind(": ").map_or(before, |end| &before[end + 2..]);
    let behind = behind.find(": ").map_or(behind, |end| &behind[..end]);
    let is_digit = |c: char| c.is_numeric();
    let left = before.chars().rev().find(|c| c.is_alphanumeric());
    let right = behind.chars().find(|c| c.is_alphanumeric());
    !left.is_some_and(is_digit) && !right.is_some_and(is_digit)
}
