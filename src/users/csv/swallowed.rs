//! People in a cell: a quote that is closed in another record takes what is between with it, and nothing else looks
//! wrong. Pure.

use super::{
    columns::{Column, Columns, Known},
    folded::key,
    known::{STATUS, is_status},
};
use crate::model::{identity::Email, wire::Flaw};

/// How a record of a text looks.
#[derive(Debug)]
pub(super) struct Looks {
    delimiter: u8,
    columns: usize,
    /// The column of e-mail addresses.
    email: Option<usize>,
}

impl Looks {
    /// `None` for an export, which is quoted by a program, whatever its cells hold.
    pub(super) fn of(columns: &Columns, delimiter: u8) -> Option<Self> {
        let names = columns.named().map(|(_, name)| key(name));
        let is_export = names.filter(|name| is_status(name)).count() == STATUS.len();
        let is_email = |(column, _): (&Column, &str)| *column == Column::Known(Known::Email);
        (!is_export).then(|| Self {
            delimiter,
            columns: columns.count(),
            email: columns.named().position(is_email),
        })
    }

    /// What is wrong with a record that holds others, and the line of its quote: with a cell of several lines one of
    /// which has an address where the column of addresses is, or, in a file without such a column, with a cell whose lines
    /// would all be records of as many cells as the header. What people write has a blank behind a comma.
    pub(super) fn swallowed(&self, line: u32, fields: &[&[u8]]) -> Option<(u32, Flaw)> {
        let mut quote = line;
        for (place, field) in fields.iter().enumerate() {
            let count = lines(field).count();
            let last = quote.saturating_add(u32::try_from(count - 1).unwrap_or(u32::MAX));
            if count > 1
                && let Some(inside) = self.record_in(field, place, fields.len())
            {
                let at = quote.saturating_add(u32::try_from(inside).unwrap_or(u32::MAX));
                let what = if inside == 0 {
                    "what follows it there".to_owned()
                } else {
                    format!("line {at}")
                };
                let detail = format!(
                    "a quote is opened here and closed on line {last}, but {what} reads as a record of its own; nothing of \
                     these lines was taken. Close the quote where its cell ends. If it is one cell, take its line breaks \
                     out, or send the table as .xlsx"
                );
                return Some((quote, Flaw::new("record_in_quotes", detail)));
            }
            quote = last;
        }
        None
    }

    /// The line of a cell that reads as a record, from 0: the first one goes on from the cells before.
    fn record_in(&self, field: &[u8], place: usize, count: usize) -> Option<usize> {
        let all: Vec<Vec<&[u8]>> = lines(field)
            .map(|line| line.split(|byte| *byte == self.delimiter).collect())
            .collect();
        let bare = |cells: &[&[u8]]| cells[1..].iter().all(|cell| !cell.starts_with(b" "));
        let begin = |index: usize| if index == 0 { place } else { 0 };
        if let Some(email) = self.email {
            return all.iter().enumerate().position(|(index, cells)| {
                let cell = email.checked_sub(begin(index)).and_then(|at| cells.get(at));
                cells.len() > 1 && bare(cells) && cell.is_some_and(|cell| is_address(cell))
            });
        }
        let is_whole = |(index, cells): (usize, &Vec<&[u8]>)| {
            let behind = if index + 1 == all.len() {
                count - place - 1
            } else {
                0
            };
            bare(cells) && begin(index) + cells.len() + behind == self.columns
        };
        (self.columns > 1 && all.iter().enumerate().all(is_whole)).then_some(1)
    }
}

fn lines(cell: &[u8]) -> impl Iterator<Item = &[u8]> {
    let end = if cell.contains(&b'\n') { b'\n' } else { b'\r' };
    let lines = cell.split(move |byte| *byte == end);
    lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line))
}

fn is_address(cell: &[u8]) -> bool {
    str::from_utf8(cell).is_ok_and(|text| Email::parse(text).is_ok())
}
