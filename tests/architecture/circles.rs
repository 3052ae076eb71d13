//! Circles among things that point at each other.

use std::collections::{BTreeMap, BTreeSet};

/// Every set of two or more that all reach each other.
pub fn circles<T: Ord + Copy>(arrows: &BTreeSet<(T, T)>) -> Vec<BTreeSet<T>> {
    let starts: BTreeSet<T> = arrows.iter().map(|(from, _)| *from).collect();
    let reached: BTreeMap<T, BTreeSet<T>> = starts
        .into_iter()
        .map(|start| (start, reach(arrows, start)))
        .collect();
    let with = |one: &T| -> BTreeSet<T> {
        let back = |other: &&T| reached.get(other).is_some_and(|set| set.contains(one));
        reached[one].iter().filter(back).copied().collect()
    };
    let all: BTreeSet<BTreeSet<T>> = reached.keys().map(with).collect();
    all.into_iter().filter(|set| set.len() > 1).collect()
}

/// What can be reached from one. It is itself among that if a circle leads back.
fn reach<T: Ord + Copy>(arrows: &BTreeSet<(T, T)>, start: T) -> BTreeSet<T> {
    let mut found = BTreeSet::new();
    let mut next = vec![start];
    while let Some(from) = next.pop() {
        let ends = arrows.iter().filter(|arrow| arrow.0 == from);
        next.extend(ends.map(|(_, to)| *to).filter(|&to| found.insert(to)));
    }
    found
}

/// The pairs that point at each other.
pub fn mutual<T: Ord + Copy>(arrows: &BTreeSet<(T, T)>) -> BTreeSet<(T, T)> {
    let both = |&&(a, b): &&(T, T)| a < b && arrows.contains(&(b, a));
    arrows.iter().filter(both).copied().collect()
}
