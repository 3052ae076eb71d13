//! The cells of a row in a list: which are a name, and which are passed over. Pure.

use super::{
    super::{folded::Folded, known::Known, synonyms::field_of, told::Warning},
    labels::says_what_follows,
    names::{is_meant, shown},
    part::{Part, texts},
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

    /// Whether it is a heading above addresses.
    pub(super) fn is_heading(&self) -> bool {
        field_of(&Folded::of(&texts(&self.parts))) == Some(Known::Email)
    }

    fn is_word(&self) -> bool {
        texts(&self.parts).split_whitespace().count() == 1
    }

    /// All of it as one.
    fn whole(self) -> Option<Part> {
        let text = texts(&self.parts);
        let names: Vec<&str> = self.parts.iter().map(|part| &*part.name).collect();
        let name = names.join(", ");
        let line = self.parts.first()?.line;
        Some(Part { line, text, name })
    }
}

/// How often something was done, and what is shown of the first time.
#[derive(Default)]
struct Count {
    times: usize,
    first: Option<String>,
}

impl Count {
    fn add(&mut self, first: impl FnOnce() -> String) {
        self.times += 1;
        self.first.get_or_insert_with(first);
    }

    fn warning(&self, code: &'static str, what: &str, advice: &str) -> Option<Warning> {
        let (times, first) = (self.times, self.first.as_ref()?);
        Some(Warning::new(
            code,
            format!("{what} ({times} in all, the first {first}); {advice}"),
        ))
    }
}

/// What was done with the cells of a list's rows so far.
#[derive(Default)]
pub(super) struct Cells {
    passed: Count,
    joined: Count,
}

impl Cells {
    /// Which cells are a name, and the others: all in front of an address are; behind one, the first,
    /// or two of one word each.
    pub(super) fn names(&mut self, cells: Vec<Cell>, is_behind: bool) -> (Vec<Part>, Vec<Cell>) {
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
        let parts = names.into_iter().filter_map(Cell::whole);
        let whole = parts.reduce(|mut whole, part| {
            for (all, more) in [(&mut whole.text, part.text), (&mut whole.name, part.name)] {
                *all = format!("{all} {more}").trim().to_owned();
            }
            whole
        });
        if let Some(whole) = &whole {
            self.joined
                .add(|| format!("`{}` in line {}", shown(&whole.text), whole.line));
        }
        (whole.into_iter().collect(), others)
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
            // Not its text, which may be a password.
            self.passed.add(|| format!("in line {}", cell.line()));
        }
        Vec::new()
    }

    /// What to look at again.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        let passed = self.passed.warning(
            "cells_passed_over",
            "cells beside an address that are not its name were passed over",
            "to keep what they say, write a header above the rows, such as Name, E-mail, Department",
        );
        let joined = self.joined.warning(
            "cells_joined",
            "names were put together from several cells",
            "if that is wrong, write a header above the rows, such as First name, Last name, E-mail",
        );
        passed.into_iter().chain(joined).collect()
    }
}
