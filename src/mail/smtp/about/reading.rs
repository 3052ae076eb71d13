//! What rules look at in a reply. Pure.

use super::{
    super::{fault::Stage, reply::Reply},
    phrases::ABBREVIATIONS,
    rules::Rule,
};

impl<T> Rule<T> {
    pub(super) fn fits(
        &self,
        stage: Stage,
        reply: &Reply,
        status: Option<(u16, u16)>,
        text: &str,
    ) -> bool {
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
pub(super) fn words_of(reply: &Reply) -> String {
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

/// Subject and detail of the enhanced status: at the beginning, or behind a `#` as qmail and old Exchange write it.
pub(super) fn status_of(reply: &Reply) -> Option<(u16, u16)> {
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
