//! Whether the log is what was written: every event's signature, every link, and that nothing is missing.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{connection::SimpleConnection, prelude::*};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{
    ends::{self, Beginning, Place},
    evidence::{self, Grace, LinkRow, Waiting},
    heads::{self, Head, Sealed},
    rows::{Authenticity, EventRow, Who},
    signature::{Link, salted},
};
use crate::{db::DbError, secrets::keys::KeyRing};

/// More faults than anybody reads, and more of what is listed apart.
const MOST_SAID: usize = 100;

/// What a check of the whole log came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Events in the chain.
    pub linked: i64,
    /// Events that were in it, and were forgotten since they were old.
    pub forgotten: i64,
    /// Events that are not in it yet: the newest ones, or all since a service ran.
    pub waiting: i64,
    /// When the oldest of those was written.
    pub waiting_since: Option<DateTime<Utc>>,
    /// The longest time that an event waited for its link.
    pub longest_wait: Option<TimeDelta>,
    /// How many events nobody signed: a shell without keys wrote them, or an older version.
    pub unsigned: usize,
    /// The first of them, in words.
    pub unsigned_shown: Vec<String>,
    /// Events that an older version linked: only their links say that they are what was written.
    pub by_older: i64,
    /// Events, links and seals that cannot be checked, by the id of the key that is missing for it.
    pub unchecked: BTreeMap<String, i64>,
    /// API keys and operators from before what the log remembers.
    pub older_accounts: Vec<String>,
    /// The last link, to be noted elsewhere: whoever cuts off the end of the log cuts it off.
    pub head: Option<Head>,
    /// What is wrong, in words.
    pub faults: Vec<String>,
}

/// Checks every event and every link, and that the ends which were noted elsewhere are still there.
///
/// # Errors
/// When the database is away.
pub fn verify(
    connection: &mut PgConnection,
    keys: &KeyRing,
    noted: &[Head],
    now: DateTime<Utc>,
) -> Result<Verified, DbError> {
    // One picture of the log, while others go on writing.
    connection.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
    let verified = check(connection, keys, noted, now);
    connection.batch_execute("COMMIT")?;
    verified
}

/// The same within the caller's own transaction.
///
/// # Errors
/// When the database is away.
pub fn check(
    connection: &mut PgConnection,
    keys: &KeyRing,
    noted: &[Head],
    now: DateTime<Utc>,
) -> Result<Verified, DbError> {
    let grace = Grace::of(connection, now)?;
    let sealed = heads::sealed(connection, keys)?;
    let mut report = Report {
        keys,
        grace,
        found: Verified::default(),
    };
    let beginning = report.beginning(connection)?;
    let last = report.chain(connection, &beginning, &sealed)?;
    report.waiting(connection)?;
    report.heads(connection, &sealed, noted, beginning.position, last)?;
    report.accounts(connection, &beginning)?;
    Ok(report.found)
}

/// A check under way.
struct Report<'a> {
    keys: &'a KeyRing,
    grace: Grace,
    found: Verified,
}

impl Report<'_> {
    fn fault(&mut self, fault: String) {
        if self.found.faults.len() < MOST_SAID {
            self.found.faults.push(fault);
        }
    }

    fn unchecked(&mut self, key: &str) {
        *self.found.unchecked.entry(key.to_owned()).or_default() += 1;
    }

    fn beginning(&mut self, connection: &mut PgConnection) -> Result<Beginning, DbError> {
        let Some(stored) = ends::beginning(connection, self.keys)? else {
            return Ok(Beginning::default());
        };
        match stored.is_ours {
            Some(true) => {}
            None => self.unchecked(&stored.key_id),
            Some(false) => self.fault(format!(
                "the log begins behind link {}, and the seal that says so is not ours",
                stored.beginning.position
            )),
        }
        self.found.forgotten = stored.beginning.position;
        Ok(stored.beginning)
    }

    /// Goes along the chain. Gives the position of its last link.
    fn chain(
        &mut self,
        connection: &mut PgConnection,
        beginning: &Beginning,
        sealed: &[Sealed],
    ) -> Result<i64, DbError> {
        let mut last = (beginning.position, Uuid::nil());
        let mut before = Some(beginning.mac.clone());
        loop {
            let links = evidence::links(connection, last, self.grace)?;
            let ids: Vec<Uuid> = links.iter().map(|link| link.event_id).collect();
            let events = evidence::events(connection, &ids)?;
            let is_last = links.len() < evidence::AT_ONCE;
            for link in links {
                if link.position == last.0 {
                    self.fault(format!("link {} is there twice", link.position));
                } else if link.position != last.0 + 1 {
                    let (from, to) = (last.0 + 1, link.position - 1);
                    self.fault(format!("links {from} to {to} are missing"));
                    // The chain goes on behind an end that somebody remembered.
                    before = sealed
                        .iter()
                        .find(|sealed| sealed.head.position == to)
                        .map(|sealed| sealed.head.mac.clone());
                }
                self.link(&link, &events, before.as_deref());
                self.found.linked += 1;
                last = (link.position, link.event_id);
                self.found.head = Some(Head {
                    position: link.position,
                    mac: link.mac.clone(),
                });
                before = Some(link.mac);
            }
            if is_last || self.found.faults.len() >= MOST_SAID {
                return Ok(last.0);
            }
        }
    }

    fn link(&mut self, link: &LinkRow, events: &HashMap<Uuid, EventRow>, before: Option<&[u8]>) {
        let place = format!("link {}, event {}", link.position, link.event_id);
        let Some(event) = events.get(&link.event_id) else {
            return self.fault(format!("{place}: the event is missing"));
        };
        let wait = link.linked_at.map(|linked_at| linked_at - event.at);
        self.found.longest_wait = self.found.longest_wait.max(wait);
        self.event(&place, event, link, link.linked_at.is_none());
        // What an older version wrote of an operator who is gone cannot be told any more; the next link holds this one.
        let is_told = event.who() != Who::Erased || event.is_hashed();
        let Some(before) = before.filter(|_| is_told) else {
            return;
        };
        let Some(key) = self.keys.get(&link.key_id) else {
            return self.unchecked(&link.key_id);
        };
        let expected = match link.linked_at {
            None => event
                .content_as_before()
                .first_link(key, before, link.position),
            Some(linked_at) => event.content().link(
                key,
                &Link {
                    before,
                    position: link.position,
                    linked_at,
                    signature: event.mac.as_deref(),
                },
            ),
        };
        if !bool::from(expected[..].ct_eq(&link.mac)) {
            self.fault(format!(
                "{place}: the event, or the link before, is not the one that was linked"
            ));
        }
    }

    /// Checks an event by itself, and that what is gone of it may be.
    fn event(&mut self, place: &str, event: &EventRow, row: &LinkRow, is_by_older: bool) {
        match event.authenticity(self.keys) {
            Authenticity::Genuine => {}
            Authenticity::Changed => {
                self.fault(format!("{place}: it is not what its writer wrote"));
            }
            Authenticity::Unchecked(key) => self.unchecked(key),
            Authenticity::Unsigned if is_by_older => self.found.by_older += 1,
            Authenticity::Unsigned
                if event.is_from_a_shell() || self.grace.allows(row.linked_at) =>
            {
                self.found.unsigned += 1;
                if self.found.unsigned_shown.len() < MOST_SAID {
                    let (at, action, kind) = (event.at, &event.action, &event.actor_kind);
                    let shown = format!("{place}: {action} by {kind}, {at}");
                    self.found.unsigned_shown.push(shown);
                }
            }
            Authenticity::Unsigned => self.fault(format!("{place}: nobody signed it")),
        }
        match event.who() {
            Who::AsWritten => {}
            Who::Erased if row.is_operator_erased => {}
            Who::Erased => self.fault(format!(
                "{place}: who did it was erased, and no signed operator.erased tells of it"
            )),
            Who::Changed => self.fault(format!("{place}: who did it is not what was written")),
        }
        match (&event.details_hash, &row.salt) {
            (None, None) => {}
            (Some(_), None) if row.may_lack_details => {}
            (Some(_), None) => self.fault(format!(
                "{place}: the details are gone, and no user.deleted or operator.erased tells of it"
            )),
            (Some(hash), Some(salt))
                if salted(salt, row.before.as_deref(), row.after.as_deref())[..] == hash[..] => {}
            (_, Some(_)) => self.fault(format!(
                "{place}: the details are not those that were written"
            )),
        }
    }

    /// Checks the events that have no link yet.
    fn waiting(&mut self, connection: &mut PgConnection) -> Result<(), DbError> {
        let mut last = Uuid::nil();
        loop {
            let waiting = evidence::waiting(connection, last, self.grace)?;
            let is_last = waiting.len() < evidence::AT_ONCE;
            for Waiting {
                event,
                beside,
                queued,
            } in waiting
            {
                let place = format!("event {}", event.id);
                self.found.waiting += 1;
                let since = self.found.waiting_since.unwrap_or(event.at);
                self.found.waiting_since = Some(since.min(event.at));
                if !queued {
                    self.fault(format!(
                        "{place}: it has no link, and does not wait for one"
                    ));
                }
                self.event(&place, &event, &beside, false);
                last = event.id;
            }
            if is_last || self.found.faults.len() >= MOST_SAID {
                return Ok(());
            }
        }
    }

    /// Checks that the chain still has every end that was told.
    fn heads(
        &mut self,
        connection: &mut PgConnection,
        sealed: &[Sealed],
        noted: &[Head],
        beginning: i64,
        end: i64,
    ) -> Result<(), DbError> {
        for sealed in sealed {
            match sealed.is_ours {
                Some(true) => {}
                None => self.unchecked(&sealed.key_id),
                Some(false) => self.fault(format!(
                    "the end {} is kept with a seal that is not ours",
                    sealed.head
                )),
            }
        }
        let ours = sealed.iter().filter(|sealed| sealed.is_ours == Some(true));
        for head in ours.map(|sealed| &sealed.head).chain(noted) {
            match ends::place_of(connection, head, beginning, end)? {
                Place::Same | Place::Forgotten => {}
                Place::Other => self.fault(format!(
                    "the end {head}, which was told earlier, is not in the chain any more"
                )),
                Place::Behind => self.fault(format!(
                    "the chain ends at link {end}, and its end {head} was told earlier: a failover lost commits, or \
                     somebody cut the end off"
                )),
            }
        }
        Ok(())
    }

    /// Checks that the log tells who let everybody in that is let in.
    fn accounts(
        &mut self,
        connection: &mut PgConnection,
        beginning: &Beginning,
    ) -> Result<(), DbError> {
        let is_forgotten = |created_at| {
            beginning.position > 0 && beginning.until.is_none_or(|until| created_at < until)
        };
        let older = evidence::accounts_of_upgrade(connection)?;
        for account in evidence::unexplained_accounts(connection)? {
            let name = format!("{} `{}` ({})", account.kind, account.name, account.id);
            if older.contains(&account.id) || is_forgotten(account.created_at) {
                if self.found.older_accounts.len() < MOST_SAID {
                    self.found.older_accounts.push(name);
                }
            } else {
                self.fault(format!("{name}: no event tells who made it"));
            }
        }
        Ok(())
    }
}
