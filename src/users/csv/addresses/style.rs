//! What commas do in a list, as far as all of it tells: part a family name from a given one, or people. Pure.

use super::{names::is_suffix, part::Part};

/// What the entries of a list have in common.
#[derive(Debug, Default)]
pub(super) struct Style {
    /// A comma stands behind an address and in front of the next one.
    pub(super) has_commas_between: bool,
    entries: usize,
    /// Those with a name in front of the address, no table's cell.
    named: usize,
    /// Those of them whose name has one comma.
    family_given: usize,
}

impl Style {
    /// Learns from an entry.
    pub(super) fn count(&mut self, names: &[Part]) {
        self.entries += 1;
        self.named += usize::from(!names.is_empty());
        self.family_given += usize::from(without_suffixes(names).len() == 2);
    }

    /// Whether a comma may part people: it does so elsewhere, or there is no other entry.
    pub(super) fn is_unsure(&self) -> bool {
        self.has_commas_between || self.entries <= 1
    }

    /// Whether these, which commas part, are one name.
    pub(super) fn is_one_name(&self, names: &[Part]) -> bool {
        let names = without_suffixes(names);
        let [_, .., last] = names else { return true };
        let is_usual = self.named > 1 && self.family_given == self.named;
        // `Bob, Ada Lovelace` alone may be two, `Lovelace, Ada` is one.
        let is_given = last.name.split_whitespace().count() < 2;
        !self.is_unsure() || (is_given && (is_usual || !self.has_commas_between))
    }
}

/// `Widgets, Inc.` has no given name.
fn without_suffixes(names: &[Part]) -> &[Part] {
    let suffixes = names.iter().rev().take_while(|part| is_suffix(&part.name));
    let own = names.len() - suffixes.count();
    &names[..own.max(names.len().min(1))]
}
