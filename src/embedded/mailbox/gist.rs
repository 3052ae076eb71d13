//! The gist of a mail: what the list shows of it, and what a search looks through.
//!
//! Pure.

use serde::Serialize;
use unicode_normalization::char::{decompose_compatible, is_combining_mark};

use super::{
    envelope::Envelope,
    mail::{Mail, Person, SHOWN, first},
};

/// How much of a mail's text can be searched, in characters.
const SEARCHED: usize = 4_096;
/// How much of a mail's text the index shows, in characters.
const SNIPPET: usize = 160;
/// How many recipients the index shows.
const RECIPIENTS: usize = 5;

/// What the list shows of a mail.
#[derive(Serialize)]
pub(super) struct Gist {
    to: Vec<Person>,
    subject: String,
    /// The beginning of the text.
    snippet: String,
    has_pin: bool,
    has_qr: bool,
}

/// What the index holds of a mail: the gist for the list, and the folded text for searching.
pub(super) fn gist(mail: &Mail, envelope: &Envelope) -> (Gist, Box<str>) {
    let text = mail.text.as_deref().unwrap_or_default();
    let mut to: Vec<Person> = mail.to.iter().take(RECIPIENTS).map(Person::brief).collect();
    if to.is_empty() {
        let addresses = envelope.to.iter().take(RECIPIENTS);
        to.extend(addresses.map(|address| Person::nameless(address)));
    }
    let gist = Gist {
        subject: first(&mail.subject, SHOWN),
        snippet: snippet(text),
        // The templates mark a PIN so.
        has_pin: mail
            .html
            .as_ref()
            .is_some_and(|html| html.contains("id=\"pin\"")),
        has_qr: mail.attachments.iter().any(|attachment| attachment.is_qr),
        to,
    };
    let mut searched = String::new();
    for person in &gist.to {
        searched.push_str(person.name.as_deref().unwrap_or_default());
        searched.push('\n');
        searched.push_str(&person.address);
        searched.push('\n');
    }
    searched.push_str(&gist.subject);
    searched.push('\n');
    searched.extend(text.chars().take(SEARCHED));
    (gist, fold(&searched).into())
}

/// The first words, in one line.
fn snippet(text: &str) -> String {
    let mut snippet = String::new();
    for word in text.split_whitespace() {
        if snippet.chars().count() >= SNIPPET {
            break;
        }
        if !snippet.is_empty() {
            snippet.push(' ');
        }
        snippet.push_str(word);
    }
    first(&snippet, SNIPPET)
}

/// The text without case and accents: `Zoë` is found by `zoe`.
pub(super) fn fold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii() {
            folded.push(c.to_ascii_lowercase());
        } else {
            decompose_compatible(c, |part| {
                if !is_combining_mark(part) {
                    folded.extend(part.to_lowercase());
                }
            });
        }
    }
    folded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn searching_forgives_case_and_accents() {
        assert_eq!(fold("Zoë Ÿ ﬁn ÅNGSTRÖM"), "zoe y fin angstrom");
    }

    #[test]
    fn what_is_no_mail_is_still_something_to_show() {
        for bytes in [
            &b""[..],
            b"\xff\xfe",
            b"no headers at all",
            b"To: \"broken\r\n\r\nx",
        ] {
            let (gist, _) = gist(&Mail::read(bytes), &Envelope::default());
            assert!(!gist.has_qr && !gist.has_pin);
        }
    }
}
