//! Ends of the chain that are gone and known to be: a failover or the restore of a backup lost commits, and somebody who
//! holds the keys said so. The event that tells of it is signed, so nobody else can.

use std::ops::RangeInclusive;

use chrono::{DateTime, SecondsFormat, Utc};
use diesel::{
    dsl::{max, min},
    prelude::*,
};
use serde::{Deserialize, Serialize};

use super::{
    Trail,
    domain::{Action, Event, SubjectKind},
    ends::{self, Place},
    evidence,
    heads::Head,
    proof::Proof,
};
use crate::{
    db::DbError,
    schema::{audit_events, audit_links},
    secrets::keys::KeyRing,
};

/// Links of which none is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Gap {
    from: i64,
    to: i64,
}

impl Gap {
    fn positions(self) -> RangeInclusive<i64> {
        self.from..=self.to
    }
}

/// A key that nobody has, and when the service went on without it: events that waited then were signed with it, and nobody
/// looked at their signatures.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct LostKey {
    key: String,
    linked_at: DateTime<Utc>,
}

/// What an event tells of a loss.
#[derive(Debug, Serialize, Deserialize)]
struct Loss {
    ends: Vec<String>,
    missing: Vec<Gap>,
    #[serde(default)]
    keys: Vec<LostKey>,
    reason: String,
}

/// Losses that the log tells of.
#[derive(Debug, Default)]
pub(super) struct Losses {
    told: Vec<(DateTime<Utc>, Loss)>,
    /// Gaps of these that the chain has.
    found: Vec<Gap>,
}

impl Losses {
    /// All of which a genuine event tells.
    pub(super) fn of(
        connection: &mut PgConnection,
        proof: &Proof<'_>,
        beginning: i64,
    ) -> Result<Self, DbError> {
        let action = Action::AuditLossAcknowledged;
        let told = evidence::done_to(connection, &[action], None, beginning)?;
        let genuine = told.into_iter().filter_map(|(event, row)| {
            let hash = event.details_hash.as_deref()?;
            let is_told = proof.is_genuine(&event, &row) && row.has_details_of(hash);
            let loss = serde_json::from_str(row.after.as_deref()?).ok()?;
            is_told.then_some((event.at, loss))
        });
        Ok(Self {
            told: genuine.collect(),
            found: Vec::new(),
        })
    }

    /// The hash of the link of this position, if it is one of the ends that are gone.
    pub(super) fn hash_at(&self, position: i64) -> Option<Vec<u8>> {
        let ends = self.told.iter().flat_map(|(_, loss)| &loss.ends);
        let mut ends = ends.filter_map(|end| end.parse::<Head>().ok());
        Some(ends.find(|end| end.position == position)?.hash)
    }

    /// What is said of links that are missing: exactly these, if that is known.
    pub(super) fn of_links(&mut self, from: i64, to: i64) -> Option<String> {
        let gap = Gap { from, to };
        let known = self.known(|loss| loss.missing.contains(&gap))?;
        self.found.push(gap);
        Some(known)
    }

    /// What is said of an end that is gone: this one, if that is known, or one of links that are known to be missing.
    pub(super) fn of_end(&self, head: &Head, end: i64) -> Option<String> {
        let told = head.to_string();
        self.known(|loss| {
            let mut gaps = loss.missing.iter();
            loss.ends.contains(&told)
                || gaps.any(|gap| {
                    gap.positions().contains(&head.position)
                        && (head.position > end || self.found.contains(gap))
                })
        })
    }

    /// What is said of an end whose key is lost.
    pub(super) fn of_key(&self, head: &Head) -> Option<String> {
        let told = head.to_string();
        self.known(|loss| loss.ends.contains(&told))
    }

    /// What is said of an event that waited when its key was lost.
    pub(super) fn of_event(&self, key: &str, linked_at: Option<DateTime<Utc>>) -> Option<String> {
        let key = LostKey {
            key: key.to_owned(),
            linked_at: linked_at?,
        };
        self.known(|loss| loss.keys.contains(&key))
    }

    /// What is said of a loss that fits, if there is one.
    fn known(&self, fits: impl Fn(&Loss) -> bool) -> Option<String> {
        let (at, loss) = self.told.iter().find(|(_, loss)| fits(loss))?;
        let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
        Some(format!("known since {at}: {}", loss.reason))
    }
}

/// Why a loss was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum LossError {
    #[error("{0} is in the chain, or was forgotten since it was old: nothing is lost")]
    Nothing(Head),
    #[error("somebody links events at this moment; run it again")]
    Busy,
    #[error("without the service's keys nobody can say so")]
    NoKeys,
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<diesel::result::Error> for LossError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// Writes down that these ends are gone, with the links that are missing up to them, and why.
///
/// # Errors
/// When one of them is not gone, and when the database is away.
pub fn acknowledge(
    connection: &mut PgConnection,
    trail: &Trail,
    ends: &[Head],
    reason: &str,
) -> Result<(), LossError> {
    connection.transaction(|connection| {
        let keys = trail.keys.as_deref().ok_or(LossError::NoKeys)?;
        // Nobody moves the end meanwhile.
        if !ends::lock(connection)? {
            return Err(LossError::Busy);
        }
        let beginning = ends::beginning(connection, keys)?
            .filter(|stored| stored.is_ours == Some(true))
            .map_or(0, |stored| stored.beginning.position);
        let last: Option<i64> = audit_links::table
            .select(max(audit_links::position))
            .first(connection)?;
        let last = last.unwrap_or(beginning);
        let (mut missing, mut lost_keys, mut highest) = (Vec::new(), Vec::new(), last);
        for end in ends {
            match ends::place_of(connection, end, beginning, last)? {
                Place::Same => match lost_key(connection, keys, end.position)? {
                    Some(key) => lost_keys.push(key),
                    None => return Err(LossError::Nothing(end.clone())),
                },
                Place::Forgotten => return Err(LossError::Nothing(end.clone())),
                Place::Other => missing.extend(gap_up_to(connection, end.position, beginning)?),
                Place::Behind => highest = highest.max(end.position),
            }
        }
        if highest > last {
            // Whoever links goes on behind the highest.
            missing.push(Gap {
                from: last + 1,
                to: highest,
            });
        }
        let loss = Loss {
            ends: ends.iter().map(ToString::to_string).collect(),
            missing,
            keys: lost_keys,
            reason: reason.to_owned(),
        };
        let event = Event::new(Action::AuditLossAcknowledged, SubjectKind::AuditLog, None);
        Ok(trail.record(connection, &event.after(&loss))?)
    })
}

/// The key of this link, if the service went on behind it without that key, and nobody gives it here, either.
fn lost_key(
    connection: &mut PgConnection,
    keys: &KeyRing,
    position: i64,
) -> Result<Option<LostKey>, DbError> {
    let key: Option<String> = audit_links::table
        .filter(audit_links::position.eq(position))
        .select(audit_links::key_id)
        .first(connection)
        .optional()?;
    let linked_at: Option<Option<DateTime<Utc>>> = audit_links::table
        .inner_join(audit_events::table.on(audit_events::id.eq(audit_links::event_id)))
        .filter(audit_links::position.eq(position + 1))
        .filter(audit_events::action.eq(Action::AuditContinued))
        .select(audit_links::linked_at)
        .first(connection)
        .optional()?;
    let lost = key.filter(|key| keys.get(key).is_none());
    Ok(lost
        .zip(linked_at.flatten())
        .map(|(key, linked_at)| LostKey { key, linked_at }))
}

/// The links that are missing up to a position, if the chain goes on behind it.
fn gap_up_to(
    connection: &mut PgConnection,
    position: i64,
    beginning: i64,
) -> Result<Option<Gap>, DbError> {
    let before: Option<i64> = audit_links::table
        .filter(audit_links::position.le(position))
        .select(max(audit_links::position))
        .first(connection)?;
    let behind: Option<i64> = audit_links::table
        .filter(audit_links::position.gt(position))
        .select(min(audit_links::position))
        .first(connection)?;
    let from = before.unwrap_or(beginning) + 1;
    Ok((from <= position && behind == Some(position + 1)).then_some(Gap { from, to: position }))
}
