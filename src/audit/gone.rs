//! What is gone from the chain: a fault, unless it is known.

use chrono::{DateTime, Utc};

use super::{
    heads::Head,
    verifying::{MOST_SAID, Report},
};

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

    /// Whoever linked an event had not the key that it was signed with.
    pub(super) fn unchecked_when_linked(
        &mut self,
        place: &str,
        key: &str,
        linked_at: Option<DateTime<Utc>>,
    ) {
        let what = format!(
            "{place}: it was signed with the key `{key}`, which was not known when it was linked"
        );
        let known = self.losses.of_event(key, linked_at);
        self.gone(what, known);
    }

    fn gone(&mut self, what: String, known: Option<String>) {
        match known {
            Some(_) if self.found.known_losses.len() >= MOST_SAID => {}
            Some(known) => self.found.known_losses.push(format!("{what}; {known}")),
            None => self.fault(what),
        }
    }
}
