//! The text of a list as words, addresses and marks, read through a window of a few kilobytes. Pure.

use std::io::{self, BufRead};

use super::{
    marks::{self, BROKEN, LONGEST, ends_word, is_line_end},
    names,
};

/// As far as is looked ahead: for a closing quote, bracket or tag.
const AHEAD: usize = 4 * LONGEST;

#[derive(Debug, PartialEq)]
pub(super) enum Token {
    /// A word, or what is in quotes (with them): of a name, or of nothing.
    Text(String),
    /// What is in round brackets, without them.
    Comment(String),
    Address(Address),
    /// A word in front of a colon: of a group's name, of what the line is about, or of somebody's name.
    Label(String),
    Tab,
    Comma,
    Semicolon,
    Line(Line),
    /// How a word begins that is longer than an address and was passed over.
    TooLong(String),
}

#[derive(Debug, PartialEq)]
pub(super) struct Address {
    /// As it is written.
    pub(super) text: String,
    /// In `<…>` or a link: a name in front belongs to it.
    pub(super) is_bracketed: bool,
    /// What a link shows.
    pub(super) shown: String,
}

/// How a line begins.
#[derive(Debug, PartialEq)]
pub(super) struct Line {
    pub(super) indent: usize,
    pub(super) beginning: Beginning,
    /// Tabs in front of its text: empty cells, where it is a table's row.
    pub(super) tabs: usize,
    /// A tab is between its words.
    pub(super) is_row: bool,
}

#[derive(Debug, PartialEq, Clone, Copy)]
pub(super) enum Beginning {
    Blank,
    /// With a bullet or a number, which is passed over.
    Bullet,
    /// With `<`.
    Bracket,
    Other,
}

pub(super) struct Scan<R> {
    source: R,
    window: String,
    at: usize,
    /// The first bytes of a character that is not here in full yet.
    partial: Vec<u8>,
    is_ended: bool,
    is_begun: bool,
    /// Quotes and brackets before this place mark nothing.
    plain_until: usize,
    /// The line of the next character, from 1.
    line: u32,
}

impl<R: BufRead> Scan<R> {
    pub(super) fn open(source: R) -> Self {
        Self {
            source,
            window: String::new(),
            at: 0,
            partial: Vec::new(),
            is_ended: false,
            is_begun: false,
            plain_until: 0,
            line: 1,
        }
    }

    /// The next token and its line; `None` at the end.
    pub(super) fn advance(&mut self) -> io::Result<Option<(u32, Token)>> {
        if !std::mem::replace(&mut self.is_begun, true) {
            self.refill()?;
            return Ok(Some((1, self.begin_line(0))));
        }
        loop {
            self.refill()?;
            let line = self.line;
            let rest = &self.window[self.at..];
            let Some(first) = rest.chars().next() else {
                return Ok(None);
            };
            let is_plain = self.at < self.plain_until;
            let (length, token) = match first {
                c if is_line_end(c) => return Ok(Some((line, self.end_line(c)))),
                '\t' => (1, Some(Token::Tab)),
                c if marks::is_comma(c) => (c.len_utf8(), Some(Token::Comma)),
                c if marks::is_semicolon(c) => (c.len_utf8(), Some(Token::Semicolon)),
                '"' | '“' | '”' | '„' | '‟' | '«' | '»' | '＂' | '(' | '（' => {
                    let found = match first {
                        _ if is_plain => Marked::Nothing,
                        '(' | '（' => comment(rest),
                        _ => quoted(rest),
                    };
                    match found {
                        Marked::Text(length, token) => (length, Some(token)),
                        Marked::Plain(length) => {
                            self.plain_until = self.at + length;
                            (first.len_utf8(), None)
                        }
                        Marked::Nothing => (first.len_utf8(), None),
                    }
                }
                '<' | '＜' => bracketed(rest),
                c if marks::is_margin(c) => (c.len_utf8(), None),
                '[' => link(rest).unwrap_or_else(|| word(rest)),
                _ => word(rest),
            };
            if matches!(token, Some(Token::TooLong(_))) {
                self.pass_word()?;
                return Ok(token.map(|token| (line, token)));
            }
            let passed = self.window[self.at..self.at + length].matches('\n').count();
            self.line = self
                .line
                .saturating_add(u32::try_from(passed).unwrap_or(u32::MAX));
            self.at += length;
            if let Some(token) = token {
                return Ok(Some((line, token)));
            }
        }
    }

    /// Keeps as much ahead as is looked at.
    fn refill(&mut self) -> io::Result<()> {
        if self.is_ended || self.window.len() - self.at >= AHEAD {
            return Ok(());
        }
        self.window.drain(..self.at);
        self.plain_until = self.plain_until.saturating_sub(self.at);
        self.at = 0;
        while self.window.len() < AHEAD && !self.is_ended {
            let buffer = self.source.fill_buf()?;
            let read = buffer.len();
            self.partial.extend_from_slice(buffer);
            self.source.consume(read);
            self.is_ended = read == 0;
            self.decode();
        }
        Ok(())
    }

    fn decode(&mut self) {
        let bytes = std::mem::take(&mut self.partial);
        let mut chunks = bytes.utf8_chunks().peekable();
        while let Some(chunk) = chunks.next() {
            self.window.push_str(chunk.valid());
            let invalid = chunk.invalid();
            let is_cut = chunks.peek().is_none()
                && std::str::from_utf8(invalid).is_err_and(|error| error.error_len().is_none());
            if is_cut && !self.is_ended {
                self.partial = invalid.to_vec();
            } else if !invalid.is_empty() {
                self.window.push(BROKEN);
            }
        }
    }

    /// Passes over a line's end: LF, CR or both, or one that no editor counts.
    fn end_line(&mut self, end: char) -> Token {
        let length = match end {
            '\r' if self.window[self.at..].starts_with("\r\n") => 2,
            end => end.len_utf8(),
        };
        let is_counted = matches!(end, '\r' | '\n');
        self.line = self.line.saturating_add(u32::from(is_counted));
        self.begin_line(length)
    }

    /// Passes over what a line begins with.
    fn begin_line(&mut self, end: usize) -> Token {
        self.at += end;
        let rest = marks::near(&self.window[self.at..]);
        let start = rest.trim_start_matches(|c: char| !is_line_end(c) && marks::is_margin(c));
        let indent = rest.len() - start.len();
        let text = marks::without_bullets(start);
        let beginning = match text.chars().next() {
            None => Beginning::Blank,
            Some(c) if is_line_end(c) => Beginning::Blank,
            Some(_) if text.len() < start.len() => Beginning::Bullet,
            Some('<' | '＜') => Beginning::Bracket,
            Some(_) => Beginning::Other,
        };
        let passed = &rest[..rest.len() - text.len()];
        let words = text.split(is_line_end).next().unwrap_or_default();
        let begun = Line {
            indent,
            beginning,
            tabs: passed.matches('\t').count(),
            is_row: words.trim_end().contains('\t'),
        };
        self.at += passed.len();
        Token::Line(begun)
    }

    /// Passes over a word, however long it is.
    fn pass_word(&mut self) -> io::Result<()> {
        loop {
            let rest = &self.window[self.at..];
            let end = rest.find(ends_word);
            self.at += end.unwrap_or(rest.len());
            if end.is_some() || self.is_ended {
                return Ok(());
            }
            self.refill()?;
        }
    }
}

/// What a quote or a bracket begins.
enum Marked {
    Text(usize, Token),
    /// An address or several: the marks, the second of which ends there, mark no name.
    Plain(usize),
    /// It is not closed on its line.
    Nothing,
}

fn is_before_bracket(rest: &str) -> bool {
    marks::near(rest)
        .trim_start_matches(|c: char| !is_line_end(c) && marks::is_margin(c))
        .starts_with(['<', '＜'])
}

fn quoted(rest: &str) -> Marked {
    let Some(length) = marks::closing_quote(rest) else {
        return Marked::Nothing;
    };
    let (text, behind) = rest.split_at(length);
    // A local part in quotes: no address that is taken, and told as a whole.
    let end = behind.find(ends_word).unwrap_or(behind.len());
    if behind.starts_with('@') && end <= LONGEST {
        return Marked::Text(length + end, bare(&rest[..length + end]));
    }
    if text.contains(['@', '＠']) && !is_before_bracket(behind) {
        return Marked::Plain(length);
    }
    Marked::Text(length, Token::Text(text.to_owned()))
}

fn comment(rest: &str) -> Marked {
    let Some(length) = marks::closing_bracket(rest) else {
        return Marked::Nothing;
    };
    let text = &rest[..length];
    let content = marks::inside(text).trim();
    if marks::is_spelt_mark(content) {
        return Marked::Text(length, Token::Text(text.to_owned()));
    }
    if !content.contains(['@', '＠']) {
        return Marked::Text(length, Token::Comment(content.to_owned()));
    }
    if content.contains(ends_word) {
        return Marked::Plain(length);
    }
    Marked::Text(length, address(content, true, ""))
}

/// `<ada@example.com>`, a tag of HTML, or a bracket that nothing closes or that several are in.
fn bracketed(rest: &str) -> (usize, Option<Token>) {
    let closed = marks::closed_angle(rest).filter(|(content, _)| {
        let addresses = content.matches(['@', '＠']).count();
        addresses < 2 || marks::is_link(content)
    });
    let Some((content, length)) = closed else {
        let open = rest.chars().next().map_or(0, char::len_utf8);
        let (length, token) = word(&rest[open..]);
        return match token {
            Some(Token::Address(found)) => (open + length, Some(address(&found.text, true, ""))),
            _ => (open, None),
        };
    };
    let target = marks::link_target(content);
    if let Some(target) = target.filter(|target| !names::holds_another(content, target)) {
        let behind = &rest[length..];
        return match marks::link_text(behind) {
            Some((text, end)) => (length + end, Some(address(target, true, text))),
            None => (length, Some(address(target, true, ""))),
        };
    }
    let token = match marks::tag(content) {
        Some(marks::Tag::Line) => Some(Token::Line(Line {
            indent: 0,
            beginning: Beginning::Blank,
            tabs: 0,
            is_row: false,
        })),
        Some(marks::Tag::Cell) => Some(Token::Tab),
        Some(marks::Tag::Other) => None,
        None => Some(address(content, true, "")),
    };
    (length, token)
}

/// `[Ada](mailto:ada@example.com)`.
fn link(rest: &str) -> Option<(usize, Option<Token>)> {
    let (text, target, length) = marks::markdown_link(rest)?;
    Some((length, Some(address(target, true, text))))
}

fn word(rest: &str) -> (usize, Option<Token>) {
    let length = rest.find(ends_word).unwrap_or(rest.len());
    if length > LONGEST {
        let begun = &rest[..rest.floor_char_boundary(LONGEST)];
        return (0, Some(Token::TooLong(begun.to_owned())));
    }
    let word = &rest[..length];
    // A bracket or quote that ends no word is one that nothing opened.
    if word.is_empty() {
        return (rest.chars().next().map_or(0, char::len_utf8), None);
    }
    if let Some(label) = marks::label(word) {
        let text = word[..label].trim_end_matches([':', '：']);
        return (label, Some(Token::Label(text.to_owned())));
    }
    (length, Some(bare(word)))
}

fn bare(word: &str) -> Token {
    if word.contains(['@', '＠']) && word.contains(char::is_alphanumeric) {
        address(word, false, "")
    } else {
        Token::Text(word.to_owned())
    }
}

fn address(text: &str, is_bracketed: bool, shown: &str) -> Token {
    Token::Address(Address {
        text: text.trim().to_owned(),
        is_bracketed,
        // Tags inside of a link say nothing; an address there may be another one.
        shown: if shown.contains('<') && !shown.contains(['@', '＠']) {
            String::new()
        } else {
            shown.trim().to_owned()
        },
    })
}
