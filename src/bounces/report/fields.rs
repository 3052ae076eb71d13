//! The fields of reports for programs: delivery status (RFC 3464, RFC 6533) and complaints (RFC 5965). Pure.

use mailparse::{MailHeader, MailHeaderMap};

use super::codes::Enhanced;

/// Recipients that a report may be about; ours are each about one.
const MOST_RECIPIENTS: usize = 100;

/// What a report says of one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Whom the mail was to at last, if it says.
    pub last: Option<String>,
    /// Whom it was to at first, if it says.
    pub first: Option<String>,
    pub action: Action,
    pub status: Option<Enhanced>,
    /// The words, whole, on one line.
    pub words: Option<String>,
}

/// What was done with a mail (RFC 3464 §2.3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It was given up, whatever the reason.
    Failed,
    /// It is still tried.
    Delayed,
    /// It arrived, or went on to where nobody reports from.
    Delivered,
}

/// The fields about the message, then those about each recipient (RFC 3464 §2.1).
pub fn recipients(status: &[u8]) -> Vec<Recipient> {
    blocks(status, MOST_RECIPIENTS + 1)
        .filter_map(|fields| recipient(&fields))
        .collect()
}

fn recipient(fields: &[MailHeader<'_>]) -> Option<Recipient> {
    let action = match without_comment(&field(fields, "Action")?)
        .to_ascii_lowercase()
        .as_str()
    {
        "failed" | "expired" => Action::Failed,
        "delayed" => Action::Delayed,
        "delivered" | "relayed" | "expanded" => Action::Delivered,
        _ => return None,
    };
    let status = field(fields, "Status");
    Some(Recipient {
        last: field(fields, "Final-Recipient").map(|text| address(&text)),
        first: field(fields, "Original-Recipient").map(|text| address(&text)),
        action,
        status: status.and_then(|status| Enhanced::find(without_comment(&status))),
        words: field(fields, "Diagnostic-Code").map(|text| untyped(&text).to_owned()),
    })
}

/// Whom a complaint is about: `None` if it is none.
///
/// `abuse`, `fraud` and the older `opt-out` are what people say who do not want a mail. Not so `not-spam` (RFC 6430),
/// `auth-failure` (RFC 6591), `virus` and `other`, which say something else, or programs say them.
pub fn complaint(report: &[u8]) -> Option<Vec<String>> {
    let fields = blocks(report, 1).next()?;
    let kind = field(&fields, "Feedback-Type")?.to_ascii_lowercase();
    let is_one = matches!(
        without_comment(&kind),
        "abuse" | "fraud" | "opt-out" | "opt-out-list"
    );
    is_one.then(|| {
        let about = fields.get_all_values("Original-Rcpt-To");
        about.iter().map(|text| address(text)).collect()
    })
}

/// Fields, and those behind the next empty line.
fn blocks(mut rest: &[u8], most: usize) -> impl Iterator<Item = Vec<MailHeader<'_>>> {
    let next = move || {
        rest = rest.trim_ascii_start();
        let (fields, end) = (!rest.is_empty()).then(|| mailparse::parse_headers(rest).ok())??;
        rest = rest.get(end.max(1)..).unwrap_or_default();
        Some(fields)
    };
    std::iter::from_fn(next).take(most)
}

fn field(fields: &[MailHeader<'_>], name: &str) -> Option<String> {
    let value = fields.get_first_value(name)?;
    let line = value.split_whitespace().collect::<Vec<_>>().join(" ");
    (!line.is_empty()).then_some(line)
}

/// Comments may follow what programs read (RFC 3464 §2.1.1). Words keep their parentheses.
fn without_comment(text: &str) -> &str {
    text.split('(').next().unwrap_or_default().trim()
}

/// `smtp; 550 no such user` without the kind (RFC 3464 §2.3.6). Some leave it out.
fn untyped(text: &str) -> &str {
    match text.split_once(';') {
        Some((kind, words)) if !kind.trim().contains(' ') => words.trim(),
        _ => text,
    }
}

/// `rfc822; <ada@example.com>` without the kind and what stands around. Letters may be spelt as `\x{E9}` (RFC 6533 §3).
fn address(text: &str) -> String {
    let bare = without_comment(untyped(text)).trim_matches(['<', '>']);
    let mut pieces = bare.split("\\x{");
    let mut address = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let spelt = piece.split_once('}').and_then(|(hex, rest)| {
            let letter = char::from_u32(u32::from_str_radix(hex, 16).ok()?)?;
            Some((letter, rest))
        });
        match spelt {
            Some((letter, rest)) => {
                address.push(letter);
                address.push_str(rest);
            }
            None => address.push_str(piece),
        }
    }
    address
}
