//! The names that a file had so far. Pure.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
};

use super::notes::Example;
use crate::{
    model::{characters::looks, identity::name_key, wire::Flaw},
    users::csv::{LineFault, Row, columns::Names},
};

/// The names and addresses that a file had so far, each with its line. Of the texts only hashes are
/// held, keyed at random: ten megabytes for the largest file, and two of its 200,000 texts are taken
/// for one once in a billion files.
#[derive(Default)]
pub(super) struct Seen {
    hasher: RandomState,
    lines: HashMap<u64, u32>,
    /// By what they look like.
    looks: HashMap<u64, u32>,
}

impl Seen {
    fn key(&self, name: &str) -> u64 {
        self.hasher.hash_one(name_key(name))
    }

    /// The fault of a record that has another one's name or address, either as either; else it is known from now on.
    pub(super) fn repeats(&mut self, row: &Row, names: &Names) -> Option<LineFault> {
        let username = self.key(row.username());
        let email = row.email().map(|email| self.key(email));
        let known = [
            (Some(username), names.of_username(row)),
            (email, names.of("email")),
        ]
        .into_iter()
        .find_map(|(key, column)| Some((*self.lines.get(&key?)?, column)));
        if let Some((line, column)) = known {
            return Some(LineFault::of_cell(
                row.line,
                column,
                Flaw::new("repeated_in_file", format!("line {line} has the same")),
            ));
        }
        self.lines.insert(username, row.line);
        if let Some(email) = email {
            self.lines.insert(email, row.line);
        }
        None
    }

    /// The name of a record that only looks like another one's, which is not the same.
    pub(super) fn alike(&mut self, row: &Row) -> Option<Example> {
        let mut found = None;
        for name in [Some(row.username()), row.email()].into_iter().flatten() {
            let key = self.hasher.hash_one(looks(name));
            let first = *self.looks.entry(key).or_insert(row.line);
            if first != row.line && found.is_none() {
                found = Some(Example {
                    text: name.to_owned(),
                    line: row.line,
                    like: Some(first),
                });
            }
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        model::identity::{Email, Username},
        users::domain::CreateUser,
    };

    #[test]
    fn names_that_only_look_alike_are_seen() {
        let mut seen = Seen::default();
        let mut like = |line: u32, username: &str, email: &str| {
            let row = Row {
                line,
                user: CreateUser {
                    username: Username::parse(username).ok(),
                    email: Email::parse(email).ok(),
                    ..CreateUser::default()
                },
                groups: Vec::new(),
                password: None,
            };
            assert_eq!(
                seen.repeats(&row, &Names::default())
                    .map(|fault| fault.detail),
                None
            );
            seen.alike(&row).and_then(|example| example.like)
        };
        for (line, username, email, first) in [
            (2, "ada", "ada@example.com", None),
            (3, "аda", "", Some(2)),
            (4, "bob", "bob@example.com", None),
            (5, "ADА", "", Some(2)),
            (6, "jose", "", None),
            (7, "josé", "", None),
            (8, "paypal", "x@example.com", None),
            (9, "pаypаl", "", Some(8)),
            (10, "ｂｏｂ", "", Some(4)),
            (11, "山田", "", None),
            (12, "", "carl@example.com", None),
            (13, "carl", "", None),
            (14, "аda@example.com", "", Some(2)),
        ] {
            assert_eq!(like(line, username, email), first, "{username} {email}");
        }
    }
}
