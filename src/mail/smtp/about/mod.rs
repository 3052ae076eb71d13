//! Whom a reply is about: this recipient, this message, the sender or the relay, this connection. Pure.
//!
//! The first of the [`rules`] that fits decides.

mod phrases;
mod rules;
#[cfg(test)]
mod tests;
mod whom;

use super::{
    fault::{Fault, Stage},
    reply::Reply,
};
use phrases::ABBREVIATIONS;
use rules::{RULES, Rule};
pub use whom::About;

impl Rule {
    fn fits(&self, stage: Stage, reply: &Reply, status: Option<(u16, u16)>, text: &str) -> bool {
        (self.at.is_empty() || self.at.contains(&stage))
            && (self.class == 0 || self.class == reply.code / 100)
            && (self.code.is_empty() || self.code.contains(&reply.code))
            && self.status.as_ref().is_none_or(|(subject, details)| {
                status.is_some_and(|(of, detail)| of == *subject && details.contains(&detail))
            })
            && (self.words.is_empty() || self.words.iter().any(|words| has(text, words)))
    }
}

/// All lines in one, in small letters, without links and addresses: those have words of their own.
fn words_of(reply: &Reply) -> String {
    let (_, text) = reply.split();
    let words = text
        .split(' ')
        .filter(|word| !word.contains("://") && !word.contains('@'));
    words.collect::<Vec<_>>().join(" ").to_lowercase()
}

/// Whether words stand in a text, at the beginning of a word; abbreviations as a whole one.
fn has(text: &str, words: &str) -> bool {
    let is_part = |next: Option<char>| next.is_some_and(char::is_alphanumeric);
    text.match_indices(words).any(|(at, _)| {
        let (before, behind) = (&text[..at], &text[at + words.len()..]);
        let is_begun = is_part(before.chars().next_back());
        let goes_on = is_part(behind.chars().next()) && ABBREVIATIONS.contains(&words);
        !is_begun && !goes_on
    })
}

/// Whom a fault is about.
pub(super) fn about(stage: Stage, fault: &Fault) -> About {
    match fault {
        Fault::Local(_) | Fault::TooLarge { .. } => About::Message,
        Fault::Reply(reply) => {
            let (status, text) = (status_of(reply), words_of(reply));
            let rule = RULES
                .iter()
                .find(|rule| rule.fits(stage, reply, status, &text));
            rule.map_or(About::Message, |rule| rule.about)
        }
        Fault::Timeout(_) | Fault::Broken(_) if stage.is_connecting() => About::Away,
        Fault::Timeout(_) | Fault::Broken(_) => About::Connection,
    }
}

/// Whether trying again is useless: the server, or the protocol, refuses this very recipient or message.
pub(super) fn is_permanent(stage: Stage, fault: &Fault) -> bool {
    match fault {
        Fault::Local(_) | Fault::TooLarge { .. } => true,
        Fault::Reply(reply) => {
            reply.code >= 500 && matches!(about(stage, fault), About::Recipient | About::Message)
        }
        Fault::Timeout(_) | Fault::Broken(_) => false,
    }
}

/// Subject and detail of the enhanced status: at the beginning, or behind a `#` as qmail and old Exchange write it.
fn status_of(reply: &Reply) -> Option<(u16, u16)> {
    let numbers = |status: &str| {
        let mut parts = status.split('.').skip(1).map(|part| part.parse().ok());
        Some((parts.next()??, parts.next()??))
    };
    let (status, text) = reply.split();
    if let Some(status) = status {
        return numbers(&status);
    }
    let behind = text.split('#').skip(1).find_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.');
        let status = rest[..end.unwrap_or(rest.len())].trim_end_matches('.');
        let class = status.split('.').next()?.parse::<u16>().ok()?;
        (class == reply.code / 100).then_some(status)
    });
    behind.and_then(numbers)
}
