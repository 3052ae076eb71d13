//! What the rules would notice: made-up trees, each with one thing in it that is not as planned.

mod reading;

use crate::{
    IMPURE_WORDS,
    figures::figures,
    rules::{Plan, Room, complaints},
    tree::Tree,
};

const ROOMS: &[Room] = &[
    &["main.rs"],
    &["commands/"],
    &["users/"],
    &["groups/"],
    &["http/"],
    &["db/", "schema.rs"],
    &["model/"],
    &["clock.rs"],
];

/// A tree in which all is well.
const SOUND: &[(&str, &str)] = &[
    (
        "lib.rs",
        "//! The map.\n\npub mod clock;\npub mod db;\npub mod groups;",
    ),
    ("clock.rs", "pub struct Clock;"),
    ("db/mod.rs", "pub mod error;\npub struct Db;"),
    ("db/error.rs", "pub enum DbError { Gone }"),
    ("groups/mod.rs", "pub mod domain;\npub mod queries;"),
    (
        "groups/domain.rs",
        "//! What a group is. Pure.\npub struct Group;",
    ),
    (
        "groups/queries.rs",
        "use super::domain::Group;\nuse crate::{clock::Clock, db::Db};",
    ),
    ("users/mod.rs", "pub mod domain;\npub mod queries;"),
    (
        "users/domain.rs",
        "//! What a user is. Pure.\npub struct User;",
    ),
    (
        "users/queries.rs",
        "use crate::{db, groups::domain as words};\nfn f(_: words::Group) {}",
    ),
];

/// What is said of the sound tree with these files in it, or in place of its own.
fn said_of(files: &[(&str, &str)]) -> Vec<String> {
    said_with(files, &[])
}

fn said_with(files: &[(&str, &str)], circles: &[(&[&str], &str)]) -> Vec<String> {
    let plan = Plan {
        rooms: ROOMS,
        circles,
        impure: IMPURE_WORDS,
    };
    complaints(&planted(files), &plan)
}

fn planted(files: &[(&str, &str)]) -> Tree {
    let is_replaced = |path: &str| files.iter().any(|(other, _)| *other == path);
    let kept = SOUND.iter().filter(|(path, _)| !is_replaced(path));
    Tree::read(&kept.chain(files).copied().collect::<Vec<_>>())
}

const UPWARD: &str = "src/groups/new.rs imports src/users/queries.rs, which is in a higher room (users/ is above groups/)";

#[test]
fn a_sound_tree_has_no_complaints() {
    assert_eq!(said_of(&[]), Vec::<String>::new());
}

#[test]
fn a_new_file_that_imports_upwards() {
    assert_eq!(
        said_of(&[("groups/new.rs", "use crate::users::queries::all;")]),
        [UPWARD]
    );
    assert_eq!(
        said_of(&[
            ("clock.rs", "fn f(_: crate::schema::users::table) {}"),
            ("schema.rs", "")
        ]),
        [
            "src/clock.rs imports src/schema.rs, which is in a higher room (schema.rs is above clock.rs)"
        ]
    );
}

#[test]
fn two_features_that_import_each_other() {
    let files = [
        ("groups/new.rs", "use crate::users::queries;"),
        ("users/new.rs", "use crate::groups::queries;"),
    ];
    assert_eq!(said_of(&files), [UPWARD]);
    assert!(
        figures(&planted(&files))
            .contains("1 pairs of rooms that import each other\n    groups users")
    );
}

#[test]
fn a_pure_file_that_touches_something() {
    let said = |text: &str| said_of(&[("groups/new.rs", &format!("//! Decides. Pure.\n{text}"))]);
    let of = |words: &str| format!("src/groups/new.rs says Pure, and names {words}: ");
    for (text, words) in [
        ("use diesel::prelude::*;", "diesel::prelude::*"),
        (
            "#[derive(diesel::Queryable)] struct A;",
            "diesel::Queryable",
        ),
        ("use actix_cors::Cors;", "actix_cors::Cors"),
        ("use std::{fmt, fs::{self as files}};", "std::fs"),
        ("use std::process;", "std::process"),
        ("fn f() { std::fs::read(\"x\").unwrap(); }", "std::fs::read"),
        (
            "use std as s; fn f() { s::process::exit(1) }",
            "std::process::exit",
        ),
        ("use std::net::{IpAddr, TcpStream};", "std::net::TcpStream"),
        ("use std::net::*;", "std::net::*"),
        (
            "use std::net; fn f(_: net::UdpSocket) {}",
            "std::net::UdpSocket",
        ),
        ("fn f() { g!(tokio::spawn(x)) }", "tokio::spawn"),
        ("fn f() { ::reqwest::get() }", "reqwest::get"),
        ("use r2d2;", "r2d2"),
        ("extern crate lettre;", "lettre"),
    ] {
        let said = said(text);
        assert!(
            matches!(&said[..], [one] if one.starts_with(&of(words))),
            "{text}: {said:?}"
        );
    }
    for text in [
        "use std::net::{IpAddr, SocketAddr}; use std::fmt;",
        "use crate::groups::domain::Group; use serde::Serialize;",
        "use std::collections::BTreeMap as fs; fn f(_: fs::Entry) {}",
        "/// Not diesel::prelude.\nconst A: &str = \"diesel::prelude\"; // lettre::Message",
        "#[cfg(test)] mod tests { use std::fs; use crate::groups::queries; }",
    ] {
        assert_eq!(said(text), Vec::<String>::new(), "{text}");
    }
}

#[test]
fn a_pure_file_that_imports_one_that_is_not() {
    let of = |to: &str| {
        [format!(
            "src/groups/new.rs says Pure, and imports src/{to}, which does not"
        )]
    };
    let header = "//! Decides, after looking\n//! twice. Pure.\n//! More.";
    let said = |text: &str| {
        said_of(&[
            ("groups/new.rs", &format!("{header}\n{text}")),
            ("schema.rs", ""),
        ])
    };
    assert_eq!(said("use super::queries;"), of("groups/queries.rs"));
    assert_eq!(said("use crate::schema::users;"), of("schema.rs"));
    assert_eq!(said("use crate::db::Db;"), of("db/mod.rs"));
    let not_so = [
        "//! Pure, and quick.",
        "//! Impure.",
        "/// Pure.",
        "// Pure.",
    ];
    for header in not_so {
        let text = format!("{header}\nuse super::queries;");
        assert_eq!(said_of(&[("groups/new.rs", &text)]), Vec::<String>::new());
    }
}

#[test]
fn files_that_have_to_be_pure() {
    let why = "has to be pure: its header has no line that ends with Pure.";
    let files = [
        ("model/name.rs", "//! A name."),
        ("model/email.rs", "//! An address. Pure."),
        ("groups/domain.rs", "pub struct Group;"),
        ("users/import/policy.rs", ""),
        ("users/import/plan.rs", "//! Pure."),
    ];
    let paths = [
        "groups/domain.rs",
        "model/name.rs",
        "users/import/policy.rs",
    ];
    assert_eq!(
        said_of(&files),
        paths.map(|path| format!("src/{path} {why}"))
    );
}

#[test]
fn a_file_in_no_room() {
    assert_eq!(
        said_of(&[("leftover.rs", ""), ("clock/mod.rs", ""), ("schema.rs", "")]),
        ["clock/mod.rs", "leftover.rs"]
            .map(|path| format!("src/{path} belongs to no room: add it to ROOMS"))
    );
}

#[test]
fn the_longest_path_is_the_room() {
    let plan = Plan {
        rooms: &[
            &["users/"],
            &["groups/"],
            &["users/words/", "users/names.rs"],
        ],
        circles: &[],
        impure: &[],
    };
    let tree = Tree::read(&[
        ("groups/mod.rs", "use crate::users::{words, names};"),
        ("users/words/mod.rs", "use super::names;"),
        ("users/names.rs", "use crate::users::other;"),
        ("users/other.rs", "use super::words;"),
    ]);
    let why = "which is in a higher room (users/ is above users/names.rs)";
    assert_eq!(
        complaints(&tree, &plan),
        [format!(
            "src/users/names.rs imports src/users/other.rs, {why}"
        )]
    );
}

#[test]
fn a_circle_inside_a_room() {
    let files = [
        ("groups/a.rs", "use super::b;"),
        ("groups/b.rs", "fn f() { super::c::g() }"),
        ("groups/c.rs", "use crate::groups::{a, domain};"),
    ];
    assert_eq!(
        said_of(&files),
        [
            "src/groups/a.rs, src/groups/b.rs, src/groups/c.rs are a circle inside a room: groups/a.rs imports \
          groups/b.rs, groups/b.rs imports groups/c.rs, groups/c.rs imports groups/a.rs"
        ]
    );
    let names: &[&str] = &["groups/c.rs", "groups/a.rs", "groups/b.rs"];
    assert_eq!(
        said_with(&files, &[(names, "a reason")]),
        Vec::<String>::new()
    );
    assert_eq!(
        said_with(&[], &[(names, "a reason")]),
        [
            "src/groups/a.rs, src/groups/b.rs, src/groups/c.rs are no circle (any more): take it out of CIRCLES (a reason)"
        ]
    );
    assert_eq!(
        said_with(&files, &[(&["groups/a.rs", "groups/b.rs"], "a reason")]).len(),
        2
    );
}

#[test]
fn long_files() {
    let long = "\n".repeat(401);
    let said = |header: &str| said_of(&[("groups/new.rs", &format!("{header}{long}"))]).len();
    assert_eq!(said(""), 1);
    assert_eq!(said("//! A header.\n//! Length:\n"), 1);
    assert_eq!(
        said("//! A header.\n//! Length: one table, a line each.\n"),
        0
    );
    assert_eq!(said("//! Generated from the migrations.\n"), 0);
    assert_eq!(said_of(&[("groups/new.rs", &"\n".repeat(400))]).len(), 0);
}

#[test]
fn the_map_only_declares_modules() {
    assert_eq!(
        said_of(&[
            ("lib.rs", "pub mod clock;\npub use clock::Clock;"),
            ("groups/new.rs", "use crate::Clock;")
        ]),
        [
            "src/groups/new.rs imports src/lib.rs, which only declares modules",
            "src/lib.rs does more than declare modules",
        ]
    );
}

#[test]
fn what_cannot_be_read_is_said() {
    let said = said_of(&[
        ("groups/new.rs", "fn {"),
        ("users/new.rs", "#[path = \"x.rs\"]\nmod other;"),
    ]);
    assert!(
        said[0].starts_with("src/groups/new.rs cannot be read: "),
        "{said:?}"
    );
    assert_eq!(
        said[1],
        "src/users/new.rs has `other` elsewhere with #[path]: nobody finds it there"
    );
}
