//! The ends of cells, rows, entries and groups, where it shows what words are: a name, nobody's, or passed over. Pure.

use std::{io::BufRead, mem};

use super::{
    Addresses,
    cells::Cell,
    entry::{Entry, refused},
    labels::Group,
    marks,
    names::{doubt, refusal},
    part::{Part, texts},
};
use crate::model::wire::Flaw;

/// More than a row has, or than is looked at of it.
const MOST_CELLS: usize = 100;

impl<R: BufRead> Addresses<R> {
    pub(super) fn end_cell(&mut self) {
        self.is_parted = false;
        if self.here.is_behind_address {
            self.refuse_parts();
        } else if !self.parts.is_empty() {
            self.waiting.push(Cell {
                place: self.here.cell,
                parts: mem::take(&mut self.parts),
            });
        }
        if self.waiting.len() > MOST_CELLS {
            self.end_row();
        }
    }

    /// Gives an address without a name the cells behind it; others may be the next one's.
    pub(super) fn name_by_cells(&mut self, has_next: bool) {
        let Some(open) = &mut self.open else { return };
        let may_be_its = !open.is_named();
        if has_next && !may_be_its {
            return;
        }
        let mut others = mem::take(&mut self.waiting);
        if may_be_its && !others.is_empty() {
            let (names, rest) = self.cells.names(others, true);
            others = rest;
            open.is_of_cells |= open.names.is_empty();
            open.names.extend(names);
        }
        self.pass(others);
    }

    /// Passes over cells beside an address that are not its name.
    pub(super) fn pass(&mut self, cells: Vec<Cell>) {
        for cell in cells {
            for part in self.cells.pass(cell) {
                self.refuse_part(&part);
            }
        }
    }

    /// No address of this row comes any more. One that has none is one fault, unless it is the heading of those below.
    fn end_row(&mut self) {
        self.name_by_cells(false);
        let cells = mem::take(&mut self.waiting);
        if self.here.has_entry && !self.here.is_list {
            self.pass(cells);
        } else if let Some(line) = cells.first().map(Cell::line)
            && !cells.iter().any(Cell::is_heading)
        {
            let texts: Vec<String> = cells.iter().map(|cell| texts(&cell.parts)).collect();
            self.parts.push(Part {
                line,
                text: texts.join(" "),
                name: String::new(),
            });
            self.refuse_parts();
        }
    }

    /// At the end of an entry: what is there must be enough.
    pub(super) fn settle(&mut self) {
        if self.here.is_row {
            self.end_cell();
            self.end_row();
        } else if self.open.is_none() && !self.here.has_entry && self.parts.len() == 1 {
            // A column of addresses has a header, too.
            let parts = mem::take(&mut self.parts);
            let cell = Cell { place: 0, parts };
            if !cell.is_heading() {
                self.parts = cell.parts;
            }
        }
        self.close();
        self.refuse_parts();
        self.is_cut = false;
    }

    pub(super) fn close(&mut self) {
        let Some(entry) = self.open.take() else {
            return;
        };
        self.here.has_entry = true;
        match &mut self.group {
            Some(group) if group.first.is_none() && entry.names.is_empty() => {
                group.first = Some(entry)
            }
            _ => {
                self.make_group();
                self.finish(entry);
            }
        }
    }

    /// More than one address stands behind a label, or a named one: it is nobody.
    pub(super) fn make_group(&mut self) {
        let Some(mut group) = self.group.take() else {
            return;
        };
        group.label.pop_if(|part| !part.text.contains(['@', '＠']));
        for part in group.label {
            self.refuse_part(&part);
        }
        if let Some(first) = group.first {
            self.finish(first);
        }
    }

    /// No more stands behind a label. One that ends with a semicolon may be empty.
    pub(super) fn end_group(&mut self, is_semicolon: bool) {
        match self.group.take() {
            Some(Group {
                label,
                first: Some(mut entry),
                is_heading,
            }) => {
                if is_heading || !entry.aside.is_empty() {
                    let aside = match &*entry.aside {
                        "" => String::new(),
                        aside => format!(" ({aside})"),
                    };
                    let whole = format!("{}: {}{aside}", texts(&label), entry.address);
                    let why = "may be a heading or somebody's name; write the name in front of the address on its \
                               line, or leave the heading out";
                    return self.refuse(entry.line, doubt(&whole, why));
                }
                entry.names = label;
                self.finish(entry);
            }
            Some(group) if !is_semicolon => {
                let whole = format!("{}:", texts(&group.label));
                let line = group.label.first().map_or(0, |part| part.line);
                self.refuse(line, refusal(&whole, &whole));
            }
            _ => {}
        }
    }

    fn finish(&mut self, mut entry: Entry) {
        for part in entry.without_others(&self.style) {
            self.refuse_part(&part);
        }
        let names = if entry.is_of_cells {
            &[]
        } else {
            &entry.names[..]
        };
        self.seen.count(names);
        self.done.push_back(entry.read(&self.style));
    }

    /// Words that are nobody's name; they may say more than a label in front of them.
    pub(super) fn refuse_parts(&mut self) {
        self.is_parted = false;
        let mut parts = mem::take(&mut self.parts);
        parts.retain(|part| self.is_somebody(part));
        let Some(part) = parts.first_mut() else {
            return;
        };
        if let Some(group) = self.group.take_if(|group| group.first.is_none()) {
            part.text = format!("{}: {}", texts(&group.label), part.text);
        }
        for part in parts {
            self.refuse_part(&part);
        }
    }

    /// Marks alone are nobody, nor are the numbers in a table.
    fn is_somebody(&self, part: &Part) -> bool {
        let kind = if self.here.is_row {
            char::is_alphabetic
        } else {
            char::is_alphanumeric
        };
        part.text.contains(kind) || part.text.contains(marks::BROKEN)
    }

    fn refuse_part(&mut self, part: &Part) {
        if self.is_somebody(part) {
            self.refuse(part.line, refusal(&part.text, &part.text));
        }
    }

    pub(super) fn refuse(&mut self, line: u32, flaw: Flaw) {
        self.done.push_back(refused(line, flaw));
    }
}
