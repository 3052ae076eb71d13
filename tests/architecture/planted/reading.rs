//! How imports may be written, and what only looks like one.

use super::{planted, said_of};

/// Which files a file imports that stands in the sound tree, or is planted there.
fn imports(files: &[(&str, &str)], from: &str) -> Vec<String> {
    let tree = planted(files);
    assert_eq!(tree.unread, Vec::<String>::new());
    let of_file = tree
        .arrows
        .iter()
        .filter(|arrow| tree.path(arrow.0) == from);
    let mut paths: Vec<String> = of_file.map(|arrow| tree.path(arrow.1).to_owned()).collect();
    paths.sort();
    paths
}

/// Which files `groups/new.rs` imports with this text.
fn read(text: &str) -> Vec<String> {
    imports(&[("groups/new.rs", text)], "groups/new.rs")
}

#[test]
fn every_way_to_import_is_read() {
    for (text, paths) in [
        (
            "use crate::{clock::Clock, users::{domain::{self, User}, queries}};",
            &["clock.rs", "users/domain.rs", "users/queries.rs"][..],
        ),
        (
            "use crate::clock;\nuse std::fmt;\nuse crate::{db::{Db}};\nuse crate::users::queries::all;",
            &["clock.rs", "db/mod.rs", "users/queries.rs"],
        ),
        (
            "use super::super::users::domain::User;",
            &["users/domain.rs"],
        ),
        (
            "use super::{domain, super::clock};",
            &["clock.rs", "groups/domain.rs"],
        ),
        ("use self::super::queries;", &["groups/queries.rs"]),
        ("use super::*;", &["groups/mod.rs"]),
        ("pub use crate::users::User as Person;", &["users/mod.rs"]),
        (
            "pub(crate) use crate::{db as base, db::error::*};",
            &["db/error.rs", "db/mod.rs"],
        ),
        (
            "use crate::users as people;\nfn f() { people::queries::all() }",
            &["users/mod.rs", "users/queries.rs"],
        ),
        (
            "use crate::users;\nuse users::domain::User;",
            &["users/domain.rs", "users/mod.rs"],
        ),
        (
            "use crate::users::*;\nfn f() { queries::all() }",
            &["users/mod.rs", "users/queries.rs"],
        ),
        (
            "fn f(a: crate::users::domain::User) -> Vec<crate::clock::Clock> { <crate::db::Db>::new() }",
            &["clock.rs", "db/mod.rs", "users/domain.rs"],
        ),
        (
            "fn f() { if true { use crate::users::queries::all; all() } }",
            &["users/queries.rs"],
        ),
        (
            "fn f() { json!({ \"a\": [crate::users::queries::all()] }) }",
            &["users/queries.rs"],
        ),
        (
            "use crate::users;\nfn f() { json!({ \"a\": users::queries::all() }) }",
            &["users/mod.rs", "users/queries.rs"],
        ),
        (
            "macro_rules! a { ($name:ident) => { $crate::clock::Clock::new($name::x); use $crate::{db::{self, error}, users::*}; } }",
            &["clock.rs", "db/error.rs", "db/mod.rs", "users/mod.rs"],
        ),
        (
            "#[deserr(error = crate::users::domain::Faults)] struct A;",
            &["users/domain.rs"],
        ),
        (
            "mod inner { use super::super::queries; mod more { use super::super::super::domain; } }",
            &["groups/domain.rs", "groups/queries.rs"],
        ),
        (
            "use crate::clock;\nmod inner { use super::*; fn f() { clock::now() } }",
            &["clock.rs"],
        ),
        (
            "use crate::users::domain::User;\nimpl crate::db::Kept for User {}",
            &["db/mod.rs", "users/domain.rs"],
        ),
        (
            "pub(in crate::groups) struct A;\npub(super) struct B(pub(crate) u8);",
            &[],
        ),
        (
            "//! use crate::db;\n// use crate::users::queries;\n/* use crate::clock; */",
            &[],
        ),
        (
            "/// [`crate::users::queries`]\nconst A: &str = \"use crate::users::queries;\";\nconst B: &str = r#\"crate::db\"#;",
            &[],
        ),
        (
            "fn f() { println!(\"{}\", \"crate::users::queries\") }",
            &[],
        ),
        ("fn f() { let users = 1; g(users) }", &[]),
    ] {
        assert_eq!(read(text), paths, "{text}");
    }
}

#[test]
fn tests_may_import_anything() {
    let text = "
        #[cfg(test)]
        mod tests { use crate::users::queries; }
        #[cfg(test)]
        use crate::users::queries;
        struct A { #[cfg(test)] a: crate::users::queries::A }
        impl A { #[cfg(test)] fn f() { crate::users::queries::all() } }
        #[cfg(all(test, unix))]
        fn f() { crate::users::queries::all() }
        #[test]
        fn g() { crate::users::queries::all() }
        #[cfg(not(test))]
        use crate::db::Db;
        use crate::clock::Clock;
    ";
    assert_eq!(read(text), ["clock.rs", "db/mod.rs"]);
    let files = [
        (
            "groups/new.rs",
            "#[cfg(test)]\nmod tests;\nuse crate::clock::Clock;",
        ),
        (
            "groups/new/tests.rs",
            "use crate::users::queries;\nmod deeper;",
        ),
        ("groups/new/tests/deeper.rs", "use crate::users::queries;"),
    ];
    assert_eq!(said_of(&files), Vec::<String>::new());
}

#[test]
fn the_binary_names_the_library() {
    let files = [
        (
            "main.rs",
            "mod commands;\nuse enlist::groups::domain;\nfn main() { commands::keys::add() }",
        ),
        ("commands/mod.rs", "pub mod keys;\npub struct Shared;"),
        (
            "commands/keys.rs",
            "use enlist::{clock::Clock, db};\nuse crate::commands::Shared;\nfn f() { enlist::users::queries::all(); db::error::g() }",
        ),
    ];
    assert_eq!(
        imports(&files, "main.rs"),
        ["commands/keys.rs", "groups/domain.rs"]
    );
    let paths = [
        "clock.rs",
        "commands/mod.rs",
        "db/error.rs",
        "db/mod.rs",
        "users/queries.rs",
    ];
    assert_eq!(imports(&files, "commands/keys.rs"), paths);
    assert_eq!(said_of(&files), Vec::<String>::new());
    let upward = [files[0], files[1], ("commands/keys.rs", "use crate::Cli;")];
    assert_eq!(
        said_of(&upward),
        [
            "src/commands/keys.rs imports src/main.rs, which is in a higher room (main.rs is above commands/)"
        ]
    );
}

#[test]
fn a_macro_for_all_is_where_it_is_written() {
    let files = [
        (
            "clock.rs",
            "#[macro_export]\nmacro_rules! tick { () => { $crate::clock::Clock } }",
        ),
        ("groups/new.rs", "use crate::tick;\nfn f() { tick!() }"),
        ("users/new.rs", "fn f() { crate::tick!() }"),
    ];
    assert_eq!(imports(&files, "groups/new.rs"), ["clock.rs"]);
    assert_eq!(imports(&files, "users/new.rs"), ["clock.rs"]);
}
