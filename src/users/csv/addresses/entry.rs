//! An entry of a list: an address, and the words that may be its name. Pure.

use super::{
    marks,
    names::{self, Name, holds_another, may_be_name},
    part::{Part, texts},
    style::Style,
};
use crate::{
    model::{identity::Email, wire::Flaw},
    users::{
        csv::{Line, LineFault, Row},
        domain::CreateUser,
    },
};

#[derive(Debug)]
pub(super) struct Entry {
    pub(super) line: u32,
    /// As it is written.
    pub(super) address: String,
    pub(super) names: Vec<Part>,
    /// The names are a table's cells, which no comma parts.
    pub(super) is_of_cells: bool,
    /// What is in round brackets behind it, or what its link shows.
    pub(super) aside: String,
    /// More words were in front of it than a name has.
    pub(super) is_cut: bool,
}

impl Entry {
    /// Whether something says whose address it is.
    pub(super) fn is_named(&self) -> bool {
        !self.names.is_empty() || !self.aside.is_empty()
    }

    /// Takes off what cannot belong to its name.
    pub(super) fn without_others(&mut self, style: &Style) -> Vec<Part> {
        if self.is_of_cells {
            return Vec::new();
        }
        let own = self.names.iter().rev().skip(1);
        let own = own
            .take_while(|part| may_be_name(&part.text, style.is_unsure()))
            .count()
            + 1;
        let others = self.names.len().saturating_sub(own);
        self.names.drain(..others).collect()
    }

    /// As it is written, on one line.
    pub(super) fn shown(&self) -> String {
        let address = &self.address;
        match (&*texts(&self.names), &*self.aside) {
            ("", "") => address.clone(),
            ("", aside) => format!("{aside} <{address}>"),
            (names, _) => format!("{names} <{address}>"),
        }
    }

    /// The user that it is, or what is wrong with it.
    pub(super) fn read(&self, style: &Style) -> Line {
        match self.user(style) {
            Ok(user) => Line::User(Box::new(Row {
                line: self.line,
                user,
                groups: Vec::new(),
                password: None,
            })),
            Err(flaw) => refused(self.line, flaw),
        }
    }

    fn user(&self, style: &Style) -> Result<CreateUser, Flaw> {
        let whole = self.shown();
        let address = names::address(&self.address);
        let is_broken = whole.contains(marks::BROKEN) || self.aside.contains(marks::BROKEN);
        let email = match Email::parse(&address) {
            Ok(email) if !is_broken => email,
            _ => return Err(names::refusal(&self.address, &whole)),
        };
        if holds_another(&self.aside, &address) {
            return Err(names::doubt(
                &whole,
                "shows one address and leads to another; write the one that is meant",
            ));
        }
        if !self.is_of_cells && !style.is_one_name(&self.names) {
            return Err(names::two_or_one(&whole, &texts(&self.names)));
        }
        if self.is_cut {
            return Err(names::no_name(&whole, "is longer than a name can be"));
        }
        let name = self
            .name(&address)
            .map_err(|flaw| names::no_name(&whole, &flaw.detail))?;
        Ok(CreateUser {
            email: Some(email),
            first_name: name.first,
            last_name: name.last,
            display_name: name.display,
            ..CreateUser::default()
        })
    }

    fn name(&self, address: &str) -> Result<Name, Flaw> {
        let name = names::name(self.names.iter().map(|part| &*part.name), address)?;
        if name.first.is_some() || name.display.is_some() {
            return Ok(name);
        }
        let comments = self.names.iter().filter(|part| part.name.is_empty());
        let asides = comments.map(|part| marks::inside(&part.text));
        let aside = asides.chain([&*self.aside]).find(|text| !text.is_empty());
        names::name(aside.into_iter(), address)
    }
}

pub(super) fn refused(line: u32, flaw: Flaw) -> Line {
    Line::Faulty(vec![LineFault::of_cell(line, "email", flaw)])
}
