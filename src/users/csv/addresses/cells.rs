//! The cells of a table's rows in a list: what its header says of them, which are a name, and which are passed over. Pure.

use super::{
    super::{
        assign::assign,
        folded::Folded,
        known::{Column, Known},
        mapping::ColumnMap,
        synonyms::field_of,
        told::Warning,
    },
    labels::says_what_follows,
    names::{is_meant, shown},
    part::{Field, Part, texts},
};

/// Words of one cell, which is the `place`th of its row.
pub(super) struct Cell {
    pub(super) place: usize,
    pub(super) parts: Vec<Part>,
}

impl Cell {
    pub(super) fn line(&self) -> u32 {
        self.parts.first().map_or(0, |part| part.line)
    }

    fn has(&self, kind: impl Fn(char) -> bool) -> bool {
        self.parts.iter().any(|part| part.text.contains(&kind))
    }

    /// Whether it may be a name where no header says so: numbers, labels and addresses that are none may not.
    fn may_be_name(&self) -> bool {
        let text = texts(&self.parts);
        self.has(char::is_alphabetic) && !is_meant(&text) && !says_what_follows(&text)
    }

    fn is_word(&self) -> bool {
        texts(&self.parts).split_whitespace().count() == 1
    }

    /// All of it as one.
    fn whole(self, field: Field) -> Option<Part> {
        let text = texts(&self.parts);
        let names: Vec<&str> = self.parts.iter().map(|part| &*part.name).collect();
        let name = names.join(", ");
        let line = self.parts.first()?.line;
        Some(Part {
            line,
            text,
            name,
            field,
        })
    }
}

/// How often something was done, and where it was done first.
#[derive(Default)]
struct Count {
    times: usize,
    first: Option<(u32, String)>,
}

impl Count {
    fn add(&mut self, line: u32, text: &str) {
        self.times += 1;
        self.first.get_or_insert_with(|| (line, shown(text)));
    }

    fn warning(&self, code: &'static str, what: &str, advice: &str) -> Option<Warning> {
        let (line, text) = self.first.as_ref()?;
        let times = self.times;
        Some(Warning::new(
            code,
            format!("{what} ({times} in all), such as `{text}` in line {line}; {advice}"),
        ))
    }
}

/// What is known of a list's tables so far.
#[derive(Default)]
pub(super) struct Cells {
    header: Vec<Column>,
    passed: Count,
    joined: Count,
}

impl Cells {
    /// Takes a row for the header of those that follow, if it is one: a column is called as addresses are.
    pub(super) fn take_header(&mut self, cells: &[Cell]) -> bool {
        let is_email =
            |cell: &Cell| field_of(&Folded::of(&texts(&cell.parts))) == Some(Known::Email);
        let is_address = |cell: &Cell| cell.has(|c| matches!(c, '@' | '＠'));
        if !cells.iter().any(is_email) || cells.iter().any(is_address) {
            return false;
        }
        let count = cells.last().map_or(0, |cell| cell.place + 1);
        let mut names = vec![String::new(); count];
        for cell in cells.iter().filter(|cell| cell.has(char::is_alphabetic)) {
            names[cell.place] = texts(&cell.parts);
        }
        let columns =
            assign(&names, &names, &ColumnMap::default()).map(|assigned| assigned.columns);
        match columns {
            Ok(columns) if columns.contains(&Column::Known(Known::Email)) => {
                self.header = columns;
                true
            }
            _ => false,
        }
    }

    pub(super) fn has_header(&self) -> bool {
        !self.header.is_empty()
    }

    /// Whether the header says that the addresses of a cell are not those of users.
    pub(super) fn is_another(&self, place: usize) -> bool {
        let column = self.header.get(place);
        column
            .is_some_and(|column| !matches!(column, Column::Known(Known::Email) | Column::Nameless))
    }

    /// Which cells are a name, and the others. Without a header, all in front of an address are; behind one, the first,
    /// or two of one word each.
    pub(super) fn names(&mut self, cells: Vec<Cell>, is_behind: bool) -> (Vec<Part>, Vec<Cell>) {
        if self.has_header() {
            return self.named(cells);
        }
        let (mut names, mut others): (Vec<_>, Vec<_>) =
            cells.into_iter().partition(Cell::may_be_name);
        if is_behind {
            let most = match &names[..] {
                [one, two, ..] if one.is_word() && two.is_word() => 2,
                all => all.len().min(1),
            };
            others.extend(names.drain(most..));
        }
        if names.len() < 2 {
            let parts = names.into_iter().flat_map(|cell| cell.parts);
            return (parts.collect(), others);
        }
        let parts = names.into_iter().filter_map(|cell| cell.whole(Field::Name));
        let whole = parts.reduce(|mut whole, part| {
            for (all, more) in [(&mut whole.text, part.text), (&mut whole.name, part.name)] {
                *all = format!("{all} {more}").trim().to_owned();
            }
            whole
        });
        if let Some(whole) = &whole {
            self.joined.add(whole.line, &whole.text);
        }
        (whole.into_iter().collect(), others)
    }

    fn named(&self, cells: Vec<Cell>) -> (Vec<Part>, Vec<Cell>) {
        let (mut names, mut others) = (Vec::new(), Vec::new());
        for cell in cells {
            match self.header.get(cell.place) {
                Some(Column::Known(Known::FirstName)) => names.extend(cell.whole(Field::First)),
                Some(Column::Known(Known::LastName)) => names.extend(cell.whole(Field::Last)),
                Some(Column::Known(Known::DisplayName) | Column::FamilyGiven) => {
                    names.extend(cell.parts);
                }
                _ => others.push(cell),
            }
        }
        (names, others)
    }

    /// Passes over a cell beside an address; gives back one that may be somebody else.
    pub(super) fn pass(&mut self, cell: Cell) -> Vec<Part> {
        let text = texts(&cell.parts);
        if text.contains(['@', '＠']) || is_meant(&text) {
            return cell.parts;
        }
        // A row's number says nothing.
        let is_number = cell.place == 0 && !cell.has(char::is_alphabetic);
        if cell.has(char::is_alphanumeric) && !is_number && !says_what_follows(&text) {
            self.passed.add(cell.line(), &text);
        }
        Vec::new()
    }

    /// What to look at again.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        let passed = self.passed.warning(
            "cells_passed_over",
            "cells beside an address that are not its name were passed over",
            "to keep what they say, import the table as CSV, with a header",
        );
        let joined = self.joined.warning(
            "cells_joined",
            "names were put together from several cells",
            "if that is wrong, write a header above the rows, such as First name, Last name, E-mail",
        );
        passed.into_iter().chain(joined).collect()
    }
}
