//! What is gone from the chain: a fault, unless it is known.

use super::{heads::Head, verifying::Report};

impl Report<'_> {
    /// Links are missing.
    pub(super) fn missing(&mut self, from: i64, to: i64) {
        let known = self.losses.of_links(from, to);
        self.gone(format!("links {from} to {to} are missing"), known);
    }

    /// An end is gone that was told.
    pub(super) fn lost(&mut self, head: &Head, end: i64, what: String) {
        let known = self.losses.of_end(head, end);
        self.gone(what, known);
    }

    /// Nobody vouches for links up to this end.
    pub(super) fn unvouched_end(&mut self, head: &Head, what: String) {
        let known = self.losses.of_key(head);
        self.gone(what, known);
    }

    fn gone(&mut self, what: String, known: Option<String>) {
        match known {
            Some(known) => self.found.known_losses.push(format!("{what}; {known}")),
            None => self.fault(what),
        }
    }
}
