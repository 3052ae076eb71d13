//! A pasted list of addresses, with names or without, as mail programs, spreadsheets and people write it. Pure.
//!
//! # What parts entries
//! Semicolons, line ends, commas, and the end of an address: what comes behind one belongs to the next. A line goes on
//! with the next one where that begins with `<`; is indented more and this one ends with a comma or has entries; or
//! where this one parts its entries with semicolons and ends without one. What begins with a bullet or a number is new.
//!
//! # Whose name it is
//! - Words in front of `<…>` (or of a link, or of an address in round brackets) are its name; in front of a bare address
//!   or of a link that shows a name, nobody's, and a fault. Behind an address without a name, what is in round brackets
//!   is.
//! - **A comma in front of `<…>` belongs to the name** (`Family, Given <…>`) where semicolons or lines part the list's
//!   entries, or every name of it has one, with one word behind it ([`style`]). Else it is in doubt, and a fault. A single word in small letters
//!   is no family name where commas part entries, nor is what looks as if it were to be an address: they are faults of
//!   their own.
//! - One comma makes a family and a given name, unless `Jr.`, `Inc.` or their kind follow it. What is in quotes is
//!   also shown as it is written. Comments in round brackets are no part of a name.
//! - What ends with a colon is the name of one bare address that follows, and nobody in front of several or of others'
//!   names (`Team:`), or where it only says what follows (`Cc:`, [`labels`]).
//! - In a row of cells, those in front of an address are its name, else the first behind it; the others are passed over,
//!   and told ([`cells`]). A text with a header is no list: it is read as a table.
//!
//! Whatever is neither an address nor a name of one is a fault that shows it: nobody is lost. Nor is a name cut: one
//! that cannot be taken is a fault.

mod cells;
mod ends;
mod entry;
#[cfg(test)]
mod forms;
mod labels;
mod marks;
mod names;
mod part;
#[cfg(test)]
mod pasted;
mod scan;
mod style;
#[cfg(test)]
mod tests;

pub(super) use self::names::is_suffix;

use std::{
    collections::VecDeque,
    io::{self, BufRead, Seek},
    mem,
};

use self::{
    cells::{Cell, Cells},
    entry::Entry,
    labels::{Group, says_what_follows},
    marks::LONGEST,
    names::{holds_another, may_be_name},
    part::Part,
    scan::{Beginning, Scan, Token},
    style::Style,
};
use super::{Line, told::Warning};
use crate::model::wire::Flaw;

/// More than a name has, whatever its commas.
const MOST_PARTS: usize = 20;

/// Reads addresses one by one.
pub struct Addresses<R> {
    scan: Scan<R>,
    /// What all of the list says.
    style: Style,
    /// What it said so far.
    seen: Style,
    cells: Cells,
    done: VecDeque<Line>,
    /// An address whose name may come yet.
    open: Option<Entry>,
    group: Option<Group>,
    /// Words that no address has yet, apart by commas.
    parts: Vec<Part>,
    /// Cells that no address has yet.
    waiting: Vec<Cell>,
    /// A comma stands behind the last of the parts.
    is_parted: bool,
    /// More words came than a name has.
    is_cut: bool,
    here: Place,
}

/// What is known of a line so far.
#[derive(Default)]
struct Place {
    indent: usize,
    /// Which cell of a row it is.
    cell: usize,
    is_row: bool,
    /// A semicolon or a comma stands behind an address: tabs are only blanks then.
    is_list: bool,
    has_semicolon: bool,
    /// An entry ended on it.
    has_entry: bool,
    /// An address is in this cell.
    is_behind_address: bool,
    /// The last entry ended with a comma.
    is_after_comma: bool,
}

impl<R: BufRead + Seek> Addresses<R> {
    /// Begins a list. It is read twice: what commas part is known by the end.
    ///
    /// # Errors
    /// When the source cannot be read.
    pub fn open(mut source: R) -> io::Result<Self> {
        let mut first = Addresses::begin(&mut source, Style::default());
        while first.advance()?.is_some() {}
        let style = first.seen;
        source.rewind()?;
        Ok(Self::begin(source, style))
    }
}

impl<R: BufRead> Addresses<R> {
    fn begin(source: R, style: Style) -> Self {
        Self {
            scan: Scan::open(source),
            style,
            seen: Style::default(),
            cells: Cells::default(),
            done: VecDeque::new(),
            open: None,
            group: None,
            parts: Vec::new(),
            waiting: Vec::new(),
            is_parted: false,
            is_cut: false,
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
                    self.end_group(false);
                    break;
                }
            }
        }
        Ok(self.done.pop_front())
    }

    /// What to look at again in what was read so far.
    pub fn warnings(&self) -> Vec<Warning> {
        self.cells.warnings()
    }

    fn take(&mut self, line: u32, token: Token) {
        match token {
            Token::Text(text) => {
                if self.here.is_behind_address {
                    self.close();
                }
                self.say(line, &text, &text);
            }
            Token::Comment(text) => match &mut self.open {
                Some(open) if self.parts.is_empty() && self.here.is_behind_address => {
                    if open.aside.is_empty() {
                        open.aside = text;
                    }
                }
                _ => self.say(line, &format!("({text})"), ""),
            },
            Token::Address(found) => self.meet(line, found),
            Token::Label(text) => self.take_label(line, &text),
            Token::Tab => {
                self.here.is_row = true;
                self.end_cell();
                self.here.cell += 1;
                self.here.is_behind_address = false;
            }
            Token::Comma => {
                if self.parts.is_empty() {
                    self.here.is_after_comma |= self.open.is_some();
                    self.here.is_list |= mem::take(&mut self.here.is_behind_address);
                    self.close();
                }
                self.is_parted = !self.parts.is_empty();
            }
            Token::Semicolon => {
                self.settle();
                self.end_group(true);
                self.here.has_semicolon = true;
                self.here.is_list |= mem::take(&mut self.here.is_behind_address);
                self.here.is_after_comma = false;
            }
            Token::Line(begun) => self.begin_line(&begun),
            Token::TooLong(text) => {
                self.settle();
                let shown = names::shown(&text);
                let detail = format!("`{shown}` is longer than an address");
                self.refuse(line, Flaw::new("too_long", detail));
            }
        }
    }

    /// A word that may belong to a name.
    fn say(&mut self, line: u32, text: &str, name: &str) {
        let known: usize = self.parts.iter().map(|part| part.text.len()).sum();
        if known + text.len() > LONGEST || self.parts.len() > MOST_PARTS {
            if self.here.is_row {
                self.end_cell();
            } else {
                self.refuse_parts();
                self.is_cut = true;
            }
        }
        if mem::take(&mut self.is_parted) || self.parts.is_empty() {
            self.parts.push(Part {
                line,
                text: String::new(),
                name: String::new(),
            });
        }
        if let Some(part) = self.parts.last_mut() {
            for (all, word) in [(&mut part.text, text), (&mut part.name, name)] {
                if !all.is_empty() && !word.is_empty() {
                    all.push(' ');
                }
                all.push_str(word);
            }
        }
    }

    /// A row's cell that ends with a colon is like any other; else what follows is a group, or one person's address.
    fn take_label(&mut self, line: u32, text: &str) {
        if self.here.is_row {
            self.say(line, &format!("{text}:"), text);
            return;
        }
        self.close();
        self.end_group(false);
        if !text.is_empty() {
            self.say(line, text, text);
        }
        if self
            .parts
            .pop_if(|part| says_what_follows(&part.text))
            .is_some()
        {
            self.refuse_parts();
        }
        let label = mem::take(&mut self.parts);
        self.group = (!label.is_empty()).then(|| Group::of(label));
        self.is_parted = false;
        self.here.is_after_comma = false;
    }

    fn meet(&mut self, line: u32, found: scan::Address) {
        let address = names::address(&found.text);
        // `ada@example.com <mailto:ada@example.com>` is one entry.
        if let Some(open) = &self.open
            && self.here.is_behind_address
            && self.parts.is_empty()
            && names::address(&open.address).eq_ignore_ascii_case(&address)
            && !holds_another(&found.shown, &address)
        {
            return;
        }
        let shown = match holds_another(&found.shown, "") {
            true if !holds_another(&found.shown, &address) => String::new(),
            _ => found.shown,
        };
        if !found.is_bracketed || !shown.is_empty() {
            self.refuse_parts();
            self.is_cut = false;
        }
        self.name_by_cells(true);
        self.close();
        if !shown.is_empty() {
            self.make_group();
        }
        let mut names = mem::take(&mut self.parts);
        let waiting = mem::take(&mut self.waiting);
        let is_of_cells = names.is_empty() && !waiting.is_empty();
        let others = if is_of_cells && shown.is_empty() {
            let (cells, others) = self.cells.names(waiting, false);
            names = cells;
            others
        } else {
            waiting
        };
        self.pass(others);
        self.seen.has_commas_between |= mem::take(&mut self.here.is_after_comma);
        self.open = Some(Entry {
            line: names.first().map_or(line, |part| part.line),
            address: found.text,
            names,
            is_of_cells,
            aside: shown,
            is_cut: mem::take(&mut self.is_cut),
        });
        self.here.is_behind_address = true;
        self.is_parted = false;
    }

    fn begin_line(&mut self, begun: &scan::Line) {
        let here = &self.here;
        let is_folded = begun.indent > here.indent && (self.is_parted || here.has_entry);
        // A single word may be somebody, and is no name that goes on.
        let may_go_on = |part: &Part| is_folded || may_be_name(&part.text, true);
        let goes_on = self.open.is_none()
            && !here.is_row
            && self.parts.last().is_some_and(may_go_on)
            && match begun.beginning {
                Beginning::Blank | Beginning::Bullet => false,
                Beginning::Bracket => true,
                Beginning::Other => is_folded || here.has_semicolon,
            };
        if goes_on {
            return;
        }
        let is_more = here.is_after_comma || begun.indent > here.indent;
        self.settle();
        if let Some(group) = &mut self.group {
            group.is_heading |= group.first.is_none();
            let is_listed = group.is_heading && begun.beginning != Beginning::Blank;
            if group.first.is_some() && !is_more && !is_listed {
                self.end_group(false);
            }
        }
        self.here = Place {
            indent: begun.indent,
            cell: begun.tabs,
            is_row: begun.is_row,
            ..Place::default()
        };
    }
}
