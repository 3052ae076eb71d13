//! A pasted list of addresses, with names or without, as mail programs, spreadsheets and people write it. Pure.
//!
//! # What parts entries
//! Semicolons, line ends, commas, and the end of an address: what comes behind one belongs to the next. A line goes on
//! with the next one where that begins with `<`; is indented more and this one ends with a comma or has entries; or
//! where this one parts its entries with semicolons and ends without one. What begins with a bullet or a number is new.
//!
//! # Whose name it is
//! - Words in front of `<…>` (or of a link, or of an address in round brackets) are its name. In front of a bare address
//!   or of a link that shows a name, they are its name only where a tab is in between; else nobody's, and a fault.
//! - **A comma in front of `<…>` belongs to the name** (`Family, Given <…>`) where the text before it holds no address. In
//!   a list whose entries are parted by commas, one comma of an entry does, unless a single word in small letters
//!   stands in front of it: that is a fault, since it may be somebody (`nobody, Ada <…>`). Nor is anything a part of a
//!   name that looks as if it were to be an address, such as `ada at example.com`.
//! - Behind an address without a name, what is in round brackets is the name, and so is a table's next cell.
//! - One comma makes a family and a given name, unless `Jr.`, `Inc.` or their kind follow it. What is in quotes is
//!   also shown as it is written. Comments in round brackets are no part of a name.
//! - What ends with a colon says what follows (`Team:`, `Cc:`) and is nobody.
//!
//! Whatever is neither an address nor a name of one is a fault that shows it: nobody is lost.

#[cfg(test)]
mod forms;
mod marks;
mod names;
mod scan;
#[cfg(test)]
mod tests;

use std::{
    collections::VecDeque,
    io::{self, BufRead},
    mem,
};

use self::{
    marks::LONGEST,
    names::{may_be_name, refusal},
    scan::{Beginning, Scan, Token},
};
use super::{Line, LineFault, Row};
use crate::{
    model::{identity::Email, wire::Flaw},
    users::domain::CreateUser,
};

/// More than a name has, whatever its commas.
const MOST_PARTS: usize = 20;

/// Reads addresses one by one.
pub struct Addresses<R> {
    scan: Scan<R>,
    done: VecDeque<Line>,
    /// An address whose name may come yet.
    open: Option<Open>,
    /// Words that no address has yet, apart by commas.
    parts: Vec<Part>,
    /// A comma stands behind the last of them.
    is_parted: bool,
    /// A tab stands behind them.
    is_cell: bool,
    here: Place,
}

/// What is known of a line so far.
#[derive(Default)]
struct Place {
    indent: usize,
    has_tab: bool,
    has_semicolon: bool,
    /// An entry ended on it.
    has_entry: bool,
    /// The last entry ended with a comma.
    is_after_comma: bool,
}

struct Part {
    line: u32,
    text: String,
    /// Without comments.
    name: String,
}

struct Open {
    line: u32,
    address: String,
    names: Vec<Part>,
    /// What is in round brackets behind it, or what its link shows.
    aside: String,
    is_bracketed: bool,
    /// A tab stands behind it: its name may be in the next cell.
    is_cell: bool,
    is_after_comma: bool,
}

impl<R: BufRead> Addresses<R> {
    /// Begins a list.
    pub fn open(source: R) -> Self {
        Self {
            scan: Scan::open(source),
            done: VecDeque::new(),
            open: None,
            parts: Vec::new(),
            is_parted: false,
            is_cell: false,
            here: Place::default(),
        }
    }

    /// The next address.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn advance(&mut self) -> io::Result<Option<Line>> {
        while self.done.is_empty() {
            match self.scan.advance()? {
                Some((line, token)) => self.take(line, token),
                None => {
                    self.settle();
                    break;
                }
            }
        }
        Ok(self.done.pop_front())
    }

    fn take(&mut self, line: u32, token: Token) {
        match token {
            Token::Text(text) => {
                if self.open.as_ref().is_some_and(|open| !open.is_cell) {
                    self.close(false);
                }
                self.say(line, &text, &text);
            }
            Token::Comment(text) => match &mut self.open {
                Some(open) if self.parts.is_empty() => {
                    if open.aside.is_empty() {
                        open.aside = text;
                    }
                }
                _ => self.say(line, &format!("({text})"), ""),
            },
            Token::Address(found) => self.meet(line, found),
            Token::Label => {
                if !self.is_parted {
                    self.parts.pop();
                }
                self.refuse_parts();
                self.here.is_after_comma = false;
            }
            Token::Tab => self.end_cell(),
            Token::Comma => {
                if self.parts.is_empty() {
                    self.here.is_after_comma |= self.open.is_some();
                    self.close(true);
                }
                self.is_parted = !self.parts.is_empty();
            }
            Token::Semicolon => {
                self.settle();
                self.here.has_semicolon = true;
                self.here.is_after_comma = false;
            }
            Token::Line(begun) => self.begin_line(begun.indent, begun.beginning),
            Token::TooLong => {
                self.settle();
                self.refuse(line, Flaw::new("too_long", "is longer than an address"));
            }
        }
    }

    /// A word that may belong to a name.
    fn say(&mut self, line: u32, text: &str, name: &str) {
        let known: usize = self.parts.iter().map(|part| part.text.len()).sum();
        if known + text.len() > LONGEST || self.parts.len() > MOST_PARTS {
            self.refuse_parts();
        }
        if mem::take(&mut self.is_parted) || self.parts.is_empty() {
            self.parts.push(Part {
                line,
                text: String::new(),
                name: String::new(),
            });
        }
        self.is_cell = false;
        if let Some(part) = self.parts.last_mut() {
            for (all, word) in [(&mut part.text, text), (&mut part.name, name)] {
                if !all.is_empty() && !word.is_empty() {
                    all.push(' ');
                }
                all.push_str(word);
            }
        }
    }

    fn meet(&mut self, line: u32, found: scan::Address) {
        let address = names::address(&found.text);
        // `ada@example.com <mailto:ada@example.com>` is one entry.
        if let Some(open) = &mut self.open
            && self.parts.is_empty()
            && found.is_bracketed
            && !open.is_bracketed
            && names::address(&open.address).eq_ignore_ascii_case(&address)
        {
            open.is_bracketed = true;
            return;
        }
        if self.open.as_ref().is_some_and(|open| open.is_cell) {
            self.name_by_cell();
        }
        self.close(false);
        let has_own = !found.is_bracketed || !found.shown.is_empty();
        if has_own && !self.is_cell {
            self.refuse_parts();
        }
        let names = mem::take(&mut self.parts);
        self.open = Some(Open {
            line: names.first().map_or(line, |part| part.line),
            address: found.text,
            names,
            aside: found.shown,
            is_bracketed: found.is_bracketed,
            is_cell: false,
            is_after_comma: self.here.is_after_comma,
        });
        self.is_parted = false;
        self.is_cell = false;
        self.here.is_after_comma = false;
    }

    /// At a tab.
    fn end_cell(&mut self) {
        self.here.has_tab = true;
        if self.parts.is_empty() {
            if let Some(open) = &mut self.open {
                open.is_cell = open.names.is_empty() && open.aside.is_empty();
            }
            return;
        }
        self.name_by_cell();
        // A row's number.
        if let [number] = &self.parts[..]
            && !number.text.contains(char::is_alphabetic)
        {
            self.parts.clear();
        }
        self.is_cell = !self.parts.is_empty();
    }

    /// Gives an address the words of the cell behind it.
    fn name_by_cell(&mut self) {
        if let Some(open) = self.open.as_mut().filter(|open| open.is_cell) {
            open.names = mem::take(&mut self.parts);
            open.is_cell = false;
            self.is_parted = false;
        }
    }

    fn begin_line(&mut self, indent: usize, beginning: Beginning) {
        let here = &self.here;
        let is_folded = indent > here.indent && (self.is_parted || here.has_entry);
        // A single word may be somebody, and is no name that goes on.
        let may_go_on = |part: &Part| is_folded || may_be_name(&part.text, true);
        let goes_on = self.open.is_none()
            && self.parts.last().is_some_and(may_go_on)
            && match beginning {
                Beginning::Blank | Beginning::Bullet => false,
                Beginning::Bracket => true,
                Beginning::Other => is_folded || here.has_semicolon,
            };
        if !goes_on {
            self.settle();
            self.here = Place {
                indent,
                ..Place::default()
            };
        }
    }

    /// At the end of an entry: what is there must be enough.
    fn settle(&mut self) {
        self.name_by_cell();
        self.close(false);
        self.refuse_parts();
    }

    fn close(&mut self, is_comma: bool) {
        let Some(open) = self.open.take() else {
            return;
        };
        self.here.has_entry = true;
        let is_list = is_comma || open.is_after_comma;
        // What is next to the address is its own; before that, as far back as it may be a name.
        let most = if is_list { 1 } else { usize::MAX };
        let before = open.names.iter().rev().skip(1).take(most);
        let own = before
            .take_while(|part| may_be_name(&part.text, is_list))
            .count()
            + 1;
        let (others, own) = open.names.split_at(open.names.len().saturating_sub(own));
        for part in others {
            self.refuse_part(part);
        }
        let text = own
            .iter()
            .map(|part| part.text.as_str())
            .chain([open.address.as_str(), open.aside.as_str()])
            .find(|text| text.contains(marks::BROKEN));
        let address = names::address(&open.address);
        match (text, Email::parse(&address)) {
            (Some(broken), _) => self.refuse(open.line, refusal(broken)),
            (None, Err(_)) => self.refuse(open.line, refusal(&open.address)),
            (None, Ok(email)) => {
                let names = own.iter().map(|part| part.name.as_str());
                let mut name = names::name(names, &address);
                if name.first.is_none() && name.display.is_none() {
                    let comments = own.iter().filter(|part| part.name.is_empty());
                    let asides = comments.map(|part| marks::inside(&part.text));
                    let aside = asides.chain([&*open.aside]).find(|text| !text.is_empty());
                    name = names::name(aside.into_iter(), &address);
                }
                let user = CreateUser {
                    email: Some(email),
                    first_name: name.first,
                    last_name: name.last,
                    display_name: name.display,
                    ..CreateUser::default()
                };
                self.done.push_back(Line::User(Box::new(Row {
                    line: open.line,
                    user,
                    groups: Vec::new(),
                    password: None,
                })));
            }
        }
    }

    fn refuse_parts(&mut self) {
        for part in mem::take(&mut self.parts) {
            self.refuse_part(&part);
        }
        self.is_parted = false;
        self.is_cell = false;
    }

    /// Words that are nobody's name. Marks alone are nobody, nor are the numbers in a table.
    fn refuse_part(&mut self, part: &Part) {
        let is_somebody = if self.here.has_tab {
            char::is_alphabetic
        } else {
            char::is_alphanumeric
        };
        if part.text.contains(is_somebody) || part.text.contains(marks::BROKEN) {
            self.refuse(part.line, refusal(&part.text));
        }
    }

    fn refuse(&mut self, line: u32, flaw: Flaw) {
        let fault = LineFault::of_cell(line, "email", flaw);
        self.done.push_back(Line::Faulty(vec![fault]));
    }
}
