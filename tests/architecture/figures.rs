//! The tree in figures, with all that is directly in `src/` as rooms: what a plan begins with.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    circles::{circles, mutual},
    rules::{LONGEST, MAP},
    tree::Tree,
};

pub fn figures(tree: &Tree) -> String {
    let mut product = tree.of_the_product();
    product.retain(|&file| tree.path(file) != MAP);
    let rooms: BTreeSet<&str> = product.iter().map(|&file| room(tree, file)).collect();
    let between: BTreeSet<(&str, &str)> = tree
        .arrows
        .iter()
        .map(|(from, to)| (room(tree, *from), room(tree, *to)))
        .filter(|(from, to)| from != to)
        .collect();
    let mut importing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (from, to) in &between {
        importing.entry(from).or_default().push(to);
    }
    let pairs = mutual(&between);
    let long: Vec<String> = tree
        .sources
        .iter()
        .filter(|source| source.lines > LONGEST)
        .map(|source| format!("{} {}", source.path, source.lines))
        .collect();
    let parts = [
        format!("{} files, {} rooms", product.len(), rooms.len()),
        format!("{} arrows between files", tree.arrows.len()),
        format!("{} arrows between rooms", between.len()),
        list(
            "rooms that import others",
            importing
                .iter()
                .map(|(from, to)| format!("{from}: {}", to.join(" "))),
        ),
        list(
            "pairs of rooms that import each other",
            pairs.iter().map(|(a, b)| format!("{a} {b}")),
        ),
        list(
            "circles of rooms",
            circles(&between)
                .iter()
                .map(|circle| sized(circle.iter().copied())),
        ),
        list(
            "circles of files",
            circles(&tree.arrows)
                .iter()
                .map(|circle| sized(circle.iter().map(|&file| tree.path(file)))),
        ),
        list(
            "circles of files inside one room",
            circles(&inside(tree))
                .iter()
                .map(|circle| sized(circle.iter().map(|&file| tree.path(file)))),
        ),
        list("files that are too long", long.into_iter()),
    ];
    parts.join("\n")
}

/// The folder or file of `src/` that a file is.
fn room(tree: &Tree, file: usize) -> &str {
    let path = tree.path(file);
    path.split_once('/').map_or(path, |(folder, _)| folder)
}

fn inside(tree: &Tree) -> BTreeSet<(usize, usize)> {
    let same = |arrow: &&(usize, usize)| room(tree, arrow.0) == room(tree, arrow.1);
    tree.arrows.iter().filter(same).copied().collect()
}

fn sized<'a>(members: impl Iterator<Item = &'a str>) -> String {
    let members: Vec<&str> = members.collect();
    format!("{}: {}", members.len(), members.join(" "))
}

fn list(what: &str, items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    let lines = items.iter().map(|item| format!("\n    {item}"));
    format!("{} {what}{}", items.len(), String::from_iter(lines))
}
