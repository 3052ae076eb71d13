//! Going along the chain: each link fits the one before and its event, and somebody whose key is known vouches for it.

use std::collections::HashMap;

use diesel::PgConnection;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{
    domain::Action,
    ends::Beginning,
    evidence::{self, LinkRow},
    heads::{Head, Sealed},
    rows::EventRow,
    signature::{Found, Link, OlderLink, mac_of_link},
    verifying::{MOST_SAID, Report},
};
use crate::db::DbError;

/// What the next link is made behind.
#[derive(Clone, Default)]
struct Before {
    /// The hash.
    hash: Vec<u8>,
    /// The MAC, which links of an older version are made behind.
    mac: Vec<u8>,
    /// Whether the chain begins here.
    is_beginning: bool,
}

impl Report<'_> {
    /// A link or seal of ours vouches for all links before it.
    fn vouch(&mut self) {
        for (_, key) in std::mem::take(&mut self.unvouched) {
            self.unchecked(&key);
        }
    }

    /// Goes along the chain, or so many links of it and those that vouch for them. Gives the position of its last link.
    pub(super) fn chain(
        &mut self,
        connection: &mut PgConnection,
        beginning: &Beginning,
        sealed: &[Sealed],
        most: i64,
    ) -> Result<i64, DbError> {
        let mut last = (beginning.position, Uuid::max());
        let mut before = Before {
            hash: beginning.hash.clone(),
            mac: beginning.hash.clone(),
            is_beginning: beginning.position > 0,
        };
        let below = evidence::links(connection, (i64::MIN, Uuid::nil()))?;
        for link in below
            .iter()
            .filter(|link| link.position <= beginning.position)
        {
            self.fault(format!("link {} is before the beginning", link.position));
        }
        loop {
            let links = evidence::links(connection, last)?;
            let ids: Vec<Uuid> = links.iter().map(|link| link.event_id).collect();
            let events = evidence::events(connection, &ids)?;
            let is_last = links.len() < evidence::AT_ONCE;
            for link in links {
                let mut behind = before.clone();
                if link.position == last.0 {
                    self.fault(format!("link {} is there twice", link.position));
                } else if link.position != last.0 + 1 {
                    let (from, to) = (last.0 + 1, link.position - 1);
                    self.missing(from, to);
                    // The chain goes on behind an end that somebody remembered.
                    if let Some(told) = sealed.iter().find(|sealed| sealed.head.position == to) {
                        behind.hash.clone_from(&told.head.hash);
                    } else if let Some(hash) = self.losses.hash_at(to) {
                        behind.hash = hash;
                    }
                }
                self.found.linked += 1;
                last = (link.position, link.event_id);
                if let Some(hash) = self.link(connection, &link, &events, &behind, sealed)? {
                    self.found.head = Some(Head {
                        position: link.position,
                        hash: link.hash.unwrap_or_else(|| link.mac.clone()),
                    });
                    before = Before {
                        hash,
                        mac: link.mac,
                        is_beginning: false,
                    };
                }
            }
            let is_enough = self.found.linked >= most && self.unvouched.is_empty();
            if is_last || is_enough || self.found.faults.len() >= MOST_SAID {
                break;
            }
        }
        self.nobody_vouches();
        Ok(last.0)
    }

    /// Links whose key was not given stay unchecked: no later one vouches for them.
    fn nobody_vouches(&mut self) {
        let unvouched = std::mem::take(&mut self.unvouched);
        if let (Some((from, key)), Some((to, _)), Some(head)) =
            (unvouched.first(), unvouched.last(), self.found.head.clone())
        {
            let what = format!(
                "links {from} to {to} were made with the key `{key}` or others that were not given: nobody vouches for them, up \
                 to the end {head}"
            );
            self.unvouched_end(&head, what);
        }
    }

    /// Checks a link and its event. Gives what the next link is made behind, unless this one is not part of the chain.
    fn link(
        &mut self,
        connection: &mut PgConnection,
        link: &LinkRow,
        events: &HashMap<Uuid, EventRow>,
        before: &Before,
        sealed: &[Sealed],
    ) -> Result<Option<Vec<u8>>, DbError> {
        let place = format!("link {}, event {}", link.position, link.event_id);
        let Some(event) = events.get(&link.event_id) else {
            self.fault(format!("{place}: the event is missing"));
            return Ok(Some(link.hash.clone().unwrap_or(before.hash.clone())));
        };
        let wait = link.linked_at.map(|linked_at| linked_at - event.at);
        self.found.longest_wait = self.found.longest_wait.max(wait);
        self.event(connection, &place, event, link)?;
        let key = self.keys.get(&link.key_id);
        let hash = match (link.linked_at, link.found.and_then(Found::stored)) {
            (Some(linked_at), Some(found)) => event.content().link(&Link {
                before: &before.hash,
                position: link.position,
                linked_at,
                signature: event.mac.as_deref(),
                found,
            }),
            _ => event.content_as_before().older_link(&OlderLink {
                before: &before.hash,
                position: link.position,
                key_id: &link.key_id,
                mac: &link.mac,
                signature: event.mac.as_deref(),
                is_right: true,
            }),
        };
        let other = "the event, or the link before, is not the one that was linked";
        let Some(stored) = &link.hash else {
            // The beginning tells no MAC, where this version forgot what was before.
            let fits = |key| {
                let content = event.content_as_before();
                let expected = content.first_link(key, &before.mac, link.position);
                bool::from(expected[..].ct_eq(&link.mac))
            };
            match key {
                Some(key) if fits(key) => {}
                Some(_) if !before.is_beginning => self.fault(format!("{place}: {other}")),
                _ => self.unvouched.push((link.position, link.key_id.clone())),
            }
            return Ok(Some(hash.to_vec()));
        };
        let is_ours = key.map(|key| bool::from(mac_of_link(key, stored)[..].ct_eq(&link.mac)));
        if hash[..] != stored[..] {
            self.fault(format!("{place}: {other}"));
            // Later ones are behind it if it is a link of ours.
            return Ok(Some(stored.clone()).filter(|_| is_ours != Some(false)));
        }
        // An end that was sealed with another key vouches for it, too.
        let is_told = |told: &Sealed| {
            told.is_ours == Some(true)
                && told.head.position == link.position
                && told.head.hash == *stored
        };
        match is_ours {
            // Whoever made it had none of the keys of those before.
            Some(true) if event.action == Action::AuditContinued.as_str() => self.nobody_vouches(),
            Some(true) => self.vouch(),
            Some(false) => {
                self.fault(format!("{place}: the link is not ours"));
                return Ok(None);
            }
            None => {
                self.unvouched.push((link.position, link.key_id.clone()));
                if sealed.iter().any(is_told) {
                    self.vouch();
                }
            }
        }
        Ok(Some(stored.clone()))
    }
}
