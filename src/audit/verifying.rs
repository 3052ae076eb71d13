//! Whether the log is what was written: every event's signature, every link, and that nothing is missing.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{connection::SimpleConnection, prelude::*};
use uuid::Uuid;

use super::{
    domain::SubjectKind,
    ends::{self, Beginning, Place},
    evidence::{self, LinkRow},
    foreign,
    heads::{self, Head, Sealed},
    losses::Losses,
    proof::{Made, Proof},
    rows::{Authenticity, EventRow, Who},
    signature::Found,
};
use crate::{db::DbError, secrets::keys::KeyRing};

/// More faults than anybody reads, and more of what is listed apart.
pub(super) const MOST_SAID: usize = 100;

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
    /// Events and links that were made with a key that is missing here, by its id. Later links vouch for them.
    pub unchecked: BTreeMap<String, i64>,
    /// API keys and operators whose making was told by an event that nobody signed.
    pub unsigned_accounts: Vec<String>,
    /// API keys and operators from before what the log remembers.
    pub older_accounts: Vec<String>,
    /// Ends and links that are gone, and that somebody with the keys said so of: what, since when, why.
    pub known_losses: Vec<String>,
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
    let mut found = Verified::default();
    let beginning = beginning(connection, keys, &mut found)?;
    let sealed = heads::sealed(connection, keys)?;
    let proof = Proof::of(connection, keys, beginning.position, now)?;
    let mut report = Report {
        losses: Losses::of(connection, &proof, beginning.position)?,
        proof,
        keys,
        found,
        unvouched: Vec::new(),
    };
    let last = report.chain(connection, &beginning, &sealed, i64::MAX)?;
    report.waiting(connection, beginning.position)?;
    report.heads(connection, &sealed, noted, beginning.position, last)?;
    report.accounts(connection, &beginning)?;
    for foreign in foreign::foreign(connection)? {
        report.fault(foreign);
    }
    Ok(report.found)
}

/// What is wrong with the first links, and those behind them that vouch for them.
pub(super) fn faults_at_the_beginning(
    connection: &mut PgConnection,
    keys: &KeyRing,
    links: i64,
    now: DateTime<Utc>,
) -> Result<Vec<String>, DbError> {
    let mut found = Verified::default();
    let beginning = beginning(connection, keys, &mut found)?;
    let proof = Proof::of(connection, keys, beginning.position, now)?;
    let mut report = Report {
        losses: Losses::of(connection, &proof, beginning.position)?,
        proof,
        keys,
        found,
        unvouched: Vec::new(),
    };
    report.chain(connection, &beginning, &[], links)?;
    Ok(report.found.faults)
}

/// Where the chain begins, if whoever holds the keys says so: what nobody vouches for excuses nothing.
fn beginning(
    connection: &mut PgConnection,
    keys: &KeyRing,
    found: &mut Verified,
) -> Result<Beginning, DbError> {
    let Some(stored) = ends::beginning(connection, keys)? else {
        return Ok(Beginning::default());
    };
    let position = stored.beginning.position;
    if stored.is_ours == Some(true) {
        found.forgotten = position;
        return Ok(stored.beginning);
    }
    found.faults.push(if stored.is_ours.is_none() {
        let key = stored.key_id;
        format!("the log begins behind link {position}, sealed with the key `{key}`, which was not given")
    } else {
        format!("the log begins behind link {position}, and the seal that says so is not ours")
    });
    Ok(Beginning::default())
}

/// A check under way.
pub(super) struct Report<'a> {
    pub(super) keys: &'a KeyRing,
    pub(super) proof: Proof<'a>,
    pub(super) losses: Losses,
    pub(super) found: Verified,
    /// Links whose key was not given, and that no later one vouches for so far: their positions and keys.
    pub(super) unvouched: Vec<(i64, String)>,
}

impl Report<'_> {
    pub(super) fn fault(&mut self, fault: String) {
        if self.found.faults.len() < MOST_SAID {
            self.found.faults.push(fault);
        }
    }

    pub(super) fn unchecked(&mut self, key: &str) {
        *self.found.unchecked.entry(key.to_owned()).or_default() += 1;
    }

    /// Checks an event by itself, and that what is gone of it may be.
    pub(super) fn event(
        &mut self,
        connection: &mut PgConnection,
        place: &str,
        event: &EventRow,
        row: &LinkRow,
    ) -> Result<(), DbError> {
        let is_by_older = row.is_linked() && row.hash.is_none();
        match event.authenticity(self.keys) {
            Authenticity::Genuine => {}
            Authenticity::Changed => {
                self.fault(format!("{place}: it is not what its writer wrote"));
            }
            Authenticity::Unchecked(key) => match row.found.and_then(Found::stored) {
                Some(Found::Genuine) | None => self.unchecked(key),
                _ => self.unchecked_when_linked(place, key, row.linked_at),
            },
            Authenticity::Unsigned if is_by_older => self.found.by_older += 1,
            Authenticity::Unsigned
                if event.is_from_a_shell() || self.proof.allows_unsigned(row.linked_at) =>
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
            Who::Erased if self.proof.is_operator_erased(connection, event)? => {}
            Who::Erased => self.fault(format!(
                "{place}: who did it was erased, and no signed operator.erased tells of it"
            )),
            Who::Changed => self.fault(format!("{place}: who did it is not what was written")),
        }
        match &event.details_hash {
            None if !row.has_details => {}
            Some(hash) if row.has_details_of(hash) => {}
            Some(_) if !row.has_details => {
                if !self.proof.may_lack_details(connection, event)? {
                    self.fault(format!(
                        "{place}: the details are gone, and no signed user.deleted or operator.erased tells of it"
                    ));
                }
            }
            _ => self.fault(format!(
                "{place}: the details are not those that were written"
            )),
        }
        Ok(())
    }

    /// Checks the events that have no link yet.
    fn waiting(&mut self, connection: &mut PgConnection, beginning: i64) -> Result<(), DbError> {
        let mut last = Uuid::nil();
        loop {
            let waiting = evidence::waiting(connection, last, beginning)?;
            let is_last = waiting.len() < evidence::AT_ONCE;
            for (event, row) in waiting {
                let place = format!("event {}", event.id);
                self.found.waiting += 1;
                let since = self.found.waiting_since.unwrap_or(event.at);
                self.found.waiting_since = Some(since.min(event.at));
                if !row.queued {
                    self.fault(format!(
                        "{place}: it has no link, and does not wait for one"
                    ));
                }
                self.event(connection, &place, &event, &row)?;
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
        if sealed.is_empty() && self.found.head.is_some() && !self.proof.is_of_older() {
            self.fault("no end of the chain is kept, and whoever links keeps one".to_owned());
        }
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
                Place::Other => self.lost(
                    head,
                    end,
                    format!("the end {head}, which was told earlier, is not in the chain any more"),
                ),
                Place::Behind => self.lost(
                    head,
                    end,
                    format!(
                        "the chain ends at link {end}, and its end {head} was told earlier: a failover lost commits, or \
                         somebody cut the end off"
                    ),
                ),
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
        for account in self.proof.accounts_to_tell(connection)? {
            let kind = match account.kind {
                SubjectKind::Operator => "operator",
                _ => "API key",
            };
            let name = format!("{kind} `{}` ({})", account.name, account.id);
            match account.made {
                Made::Unsigned => {
                    self.found.unsigned_accounts.push(name);
                    continue;
                }
                Made::Ended => {
                    self.fault(format!("{name}: is let in, and an event tells of its end"));
                    continue;
                }
                Made::Told | Made::Untold => {}
            }
            let is_forgotten = beginning.position > 0
                && beginning
                    .until
                    .is_none_or(|until| account.created_at < until);
            if !is_forgotten && !self.proof.is_of_upgrade(account.id) {
                self.fault(format!("{name}: no event tells who made it"));
            } else {
                self.found.older_accounts.push(name);
            }
        }
        Ok(())
    }
}
