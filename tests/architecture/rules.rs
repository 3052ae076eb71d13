//! What holds for files and rooms, and what is said of those for which it does not.

use std::collections::BTreeSet;

use crate::{circles::circles, tree::Tree};

/// The longest that a file may be without a reason.
pub const LONGEST: usize = 400;

/// Only declares modules, and belongs to no room.
pub const MAP: &str = "lib.rs";

/// Files that decide, wherever they are.
const DECIDING: &[&str] = &["domain.rs", "policy.rs", "plan.rs"];

/// A room where all files decide.
const MODEL: &str = "model/";

/// A room's paths below `src/`: folders end with `/`.
pub type Room<'a> = &'a [&'a str];

pub struct Plan<'a> {
    /// The highest first.
    pub rooms: &'a [Room<'a>],
    /// Circles that may be, each as its files and the reason.
    pub circles: &'a [(&'a [&'a str], &'a str)],
    /// What pure files do not name, each with the reason. A `*` at the end stands for any letters.
    pub impure: &'a [(&'a str, &'a str)],
}

/// Everything that is not as planned, in order.
pub fn complaints(tree: &Tree, plan: &Plan) -> Vec<String> {
    let mut all: BTreeSet<String> = tree.unread.iter().cloned().collect();
    all.extend(homeless(tree, plan));
    all.extend(map(tree));
    all.extend(upward(tree, plan));
    all.extend(in_circles(tree, plan));
    all.extend(impure(tree, plan));
    all.extend(undecided(tree));
    all.extend(long(tree));
    all.into_iter().collect()
}

/// A file's room: its rank, and the path that it is there by.
fn room<'a>(plan: &Plan<'a>, path: &str) -> Option<(usize, &'a str)> {
    let ranked = plan.rooms.iter().enumerate();
    ranked
        .flat_map(|(rank, room)| room.iter().map(move |prefix| (rank, *prefix)))
        .filter(|(_, prefix)| {
            path == *prefix || (prefix.ends_with('/') && path.starts_with(prefix))
        })
        .max_by_key(|(_, prefix)| prefix.len())
}

fn homeless(tree: &Tree, plan: &Plan) -> Vec<String> {
    let paths = tree.sources.iter().map(|source| &source.path);
    paths
        .filter(|path| *path != MAP && room(plan, path).is_none())
        .map(|path| format!("src/{path} belongs to no room: add it to ROOMS"))
        .collect()
}

fn map(tree: &Tree) -> Vec<String> {
    let maps = tree.sources.iter().filter(|source| source.path == MAP);
    let mut all: Vec<String> = maps
        .filter(|source| source.has_code)
        .map(|_| format!("src/{MAP} does more than declare modules"))
        .collect();
    let to_map = tree.arrows.iter().filter(|arrow| tree.path(arrow.1) == MAP);
    all.extend(to_map.map(|(from, _)| {
        format!(
            "src/{} imports src/{MAP}, which only declares modules",
            tree.path(*from)
        )
    }));
    all
}

fn upward(tree: &Tree, plan: &Plan) -> Vec<String> {
    let say = |(from, to): &(usize, usize)| {
        let (from, to) = (tree.path(*from), tree.path(*to));
        let ((lower, below), (higher, above)) = (room(plan, from)?, room(plan, to)?);
        (higher < lower).then(|| {
            format!(
                "src/{from} imports src/{to}, which is in a higher room ({above} is above {below})"
            )
        })
    };
    tree.arrows.iter().filter_map(say).collect()
}

/// Circles inside a room; one between rooms goes upwards somewhere.
fn in_circles(tree: &Tree, plan: &Plan) -> Vec<String> {
    let rank = |file: usize| room(plan, tree.path(file)).map(|(rank, _)| rank);
    let inside =
        |arrow: &&(usize, usize)| rank(arrow.0).is_some() && rank(arrow.0) == rank(arrow.1);
    let arrows: BTreeSet<_> = tree.arrows.iter().filter(inside).copied().collect();
    let mut allowed: Vec<_> = plan.circles.iter().collect();
    let mut all = Vec::new();
    for circle in circles(&arrows) {
        let files: BTreeSet<&str> = circle.iter().map(|&file| tree.path(file)).collect();
        let before = allowed.len();
        allowed.retain(|(names, _)| BTreeSet::from_iter(names.iter().copied()) != files);
        if allowed.len() == before {
            all.push(circle_said(tree, &circle, &arrows));
        }
    }
    all.extend(allowed.into_iter().map(|(names, reason)| {
        let names = listed(names.iter().copied());
        format!("{names} are no circle (any more): take it out of CIRCLES ({reason})")
    }));
    all
}

fn circle_said(tree: &Tree, circle: &BTreeSet<usize>, arrows: &BTreeSet<(usize, usize)>) -> String {
    let steps: Vec<String> = arrows
        .iter()
        .filter(|(from, to)| circle.contains(from) && circle.contains(to))
        .map(|(from, to)| format!("{} imports {}", tree.path(*from), tree.path(*to)))
        .collect();
    let files = listed(circle.iter().map(|&file| tree.path(file)));
    format!("{files} are a circle inside a room: {}", steps.join(", "))
}

/// `src/a.rs, src/b.rs`
fn listed<'a>(paths: impl Iterator<Item = &'a str>) -> String {
    let paths: BTreeSet<String> = paths.map(|path| format!("src/{path}")).collect();
    Vec::from_iter(paths).join(", ")
}

/// Files that say they are pure, and are not.
fn impure(tree: &Tree, plan: &Plan) -> Vec<String> {
    let is_pure = |file: &usize| tree.sources[*file].is_pure();
    let foreign = tree.foreign.iter().filter(|(file, _)| is_pure(file));
    let named = foreign.filter_map(|(file, words)| {
        let (_, reason) = plan.impure.iter().find(|(word, _)| names(words, word))?;
        let path = tree.path(*file);
        Some(format!("src/{path} says Pure, and names {words}: {reason}"))
    });
    let arrows = tree
        .arrows
        .iter()
        .filter(|(from, to)| is_pure(from) && !is_pure(to));
    let imported = arrows.map(|(from, to)| {
        format!(
            "src/{} says Pure, and imports src/{}, which does not",
            tree.path(*from),
            tree.path(*to)
        )
    });
    named.chain(imported).collect()
}

/// Whether a path is what a word forbids, is in it, or takes all that is around it.
fn names(path: &str, forbidden: &str) -> bool {
    if let Some(start) = forbidden.strip_suffix('*') {
        return path.starts_with(start);
    }
    let begins = |long: &str, short: &str| {
        let rest = long.strip_prefix(short);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let all_of = path.strip_suffix("::*");
    begins(path, forbidden) || all_of.is_some_and(|around| begins(forbidden, around))
}

/// Files that by their name decide, and do not say that they are pure.
fn undecided(tree: &Tree) -> Vec<String> {
    let product = tree.of_the_product();
    let silent = product
        .into_iter()
        .filter(|&file| !tree.sources[file].is_pure());
    silent
        .map(|file| tree.path(file))
        .filter(|path| {
            let name = path.rsplit('/').next();
            path.starts_with(MODEL) || name.is_some_and(|name| DECIDING.contains(&name))
        })
        .map(|path| {
            format!("src/{path} has to be pure: its header has no line that ends with Pure.")
        })
        .collect()
}

fn long(tree: &Tree) -> Vec<String> {
    let excused = |line: &String| {
        line.starts_with("Generated from ")
            || line
                .strip_prefix("Length:")
                .is_some_and(|reason| !reason.trim().is_empty())
    };
    let long = tree.sources.iter().filter(|source| source.lines > LONGEST);
    long.filter(|source| !source.header.iter().any(excused))
        .map(|source| {
            format!(
                "src/{} has {} lines, more than {LONGEST}: split it, or give the reason in a line `//! Length: …`",
                source.path, source.lines
            )
        })
        .collect()
}
