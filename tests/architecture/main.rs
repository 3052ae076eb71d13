//! The rooms of `src/` have ranks, and imports only go down. The plan is here: the highest room first.
//!
//! `cargo test --test architecture -- --ignored --nocapture figures` shows the tree in figures.

mod circles;
mod figures;
mod planted;
mod reader;
mod rules;
mod tokens;
mod tree;

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use rules::{Plan, Room, complaints};
use tree::Tree;

/// A file belongs to the longest path that it begins with, and imports from its own room and from lower ones.
const ROOMS: &[Room] = &[
    // The command line, and what each command does.
    &["main.rs"],
    &["commands/"],
    // The service, put together.
    &["server/"],
    &["config/"],
    // What one machine alone needs.
    &["embedded/"],
    // Goes through the tables of all features.
    &["retention.rs"],
    // The features. A higher one knows of the lower ones, which could do without it.
    &["users/"],
    &["enrollments/"],
    &["reminders/"],
    &["bounces/"],
    &["batches/"],
    &["invitations/"],
    &["devices/"],
    &["groups/"],
    &["settings/"],
    &["selection/"],
    &["trials/"],
    &["access/"],
    &["audit/"],
    // What features are made with.
    &["outbox/"],
    &["mail/"],
    &["guessing/"],
    &["http/"],
    &["state.rs"],
    &["db/", "schema.rs"],
    // The words that all share.
    &["model/"],
    // Keys, and what is derived from them.
    &["secrets/"],
    &["metrics/"],
    &["telemetry.rs"],
    &["clock.rs"],
];

/// Files of one room that import each other in a circle, and why they may.
const CIRCLES: &[(&[&str], &str)] = &[];

/// What files that say `Pure.` do not name, and why. An address of `std::net` is a value like others.
const IMPURE_WORDS: &[(&str, &str)] = &[
    ("diesel*", "it asks the database"),
    ("r2d2", "it holds connections"),
    ("actix*", "it serves HTTP"),
    ("reqwest", "it speaks HTTP"),
    ("lettre", "it speaks SMTP"),
    ("tokio*", "it waits"),
    ("std::fs", "it touches files"),
    ("std::process", "it starts and ends processes"),
    ("std::net::TcpStream", "it opens connections"),
    ("std::net::TcpListener", "it waits for connections"),
    ("std::net::UdpSocket", "it sends packets"),
    ("std::net::ToSocketAddrs", "it asks the name service"),
];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files(folder: &Path, found: &mut Vec<(String, String)>) {
    collect(folder, &source(), found);
}

fn collect(folder: &Path, root: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, root, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap();
            found.push((name.to_owned(), fs::read_to_string(&path).unwrap()));
        }
    }
}

fn tree() -> Tree {
    let mut all = Vec::new();
    files(&source(), &mut all);
    assert!(all.len() > 40);
    all.sort();
    Tree::read(&all)
}

#[test]
fn imports_only_go_down() {
    let plan = Plan {
        rooms: ROOMS,
        circles: CIRCLES,
        impure: IMPURE_WORDS,
    };
    let all = complaints(&tree(), &plan);
    assert!(
        all.is_empty(),
        "{} complaints:\n{}",
        all.len(),
        all.join("\n")
    );
}

/// Two of one name would be one in the OpenAPI document, and whoever comes last has the word.
#[test]
fn the_document_has_a_name_for_each_set_of_words() {
    let tree = tree();
    let product = tree.of_the_product();
    let names = product.iter().flat_map(|&file| &tree.sources[file].sets);
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    // The order of a list is a parameter, and stands where it is used.
    for name in names.filter(|name| *name != "Sort") {
        assert!(seen.insert(name), "{name} is there twice");
    }
    assert!(seen.len() > 20, "{seen:?}");
}

/// A file that no `mod` declares is read by nobody: neither its code nor its tests are there.
#[test]
fn every_file_is_declared() {
    let mut all = Vec::new();
    files(&source(), &mut all);
    let tests = source().with_file_name("tests").join("api");
    let mut of_tests = Vec::new();
    collect(&tests, &tests, &mut of_tests);
    for (all, roots) in [
        (&all, &["main.rs", "lib.rs"][..]),
        (&of_tests, &["main.rs"]),
    ] {
        for (path, _) in all {
            if roots.contains(&path.as_str()) {
                continue;
            }
            let module = path
                .strip_suffix("/mod.rs")
                .or(path.strip_suffix(".rs"))
                .unwrap();
            let (folder, name) = module.rsplit_once('/').unwrap_or(("", module));
            let declared = format!("mod {name};");
            let parents = [format!("{folder}/mod.rs"), format!("{folder}.rs")];
            let is_parent = |path: &str| {
                parents.iter().any(|parent| parent == path)
                    || folder.is_empty() && roots.contains(&path)
            };
            let is_declared = all
                .iter()
                .filter(|(path, _)| is_parent(path))
                .any(|(_, text)| text.contains(&declared));
            assert!(is_declared, "{path}: no `{declared}` declares it");
        }
    }
}

/// Reading refuses other fields than a type's own by one attribute, and the OpenAPI document says so by another: both stand at
/// the type, or neither does. A type that is read and described has both.
#[test]
fn what_a_body_refuses_is_what_the_document_says() {
    let mut all = Vec::new();
    files(&source(), &mut all);
    let mut number = 0;
    for (path, text) in &all {
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        for (at, line) in lines.iter().enumerate() {
            let has = |name: &str| {
                line.split(|c: char| !c.is_alphanumeric())
                    .any(|word| word == name)
            };
            if !(line.starts_with("#[derive(") && has("Deserr") && has("ToSchema")) {
                continue;
            }
            number += 1;
            let attributes = &lines[at + 1..(at + 4).min(lines.len())];
            let is_read_closed = attributes
                .iter()
                .any(|line| line.starts_with("#[deserr(") && line.contains("deny_unknown_fields"));
            let is_described_closed = attributes.contains(&"#[serde(deny_unknown_fields)]");
            assert!(
                is_read_closed && is_described_closed,
                "{path}:{}: give the type both `#[deserr(error = Faults, deny_unknown_fields)]` and \
                 `#[serde(deny_unknown_fields)]`",
                at + 1
            );
        }
    }
    assert!(number > 20, "{number}");
}

#[test]
#[ignore = "shows, and checks nothing"]
fn figures() {
    println!("{}", figures::figures(&tree()));
}
