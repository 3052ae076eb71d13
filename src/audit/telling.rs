//! Where the chain goes on, and how its end is told.

use chrono::{DateTime, Utc};
use diesel::PgConnection;

use super::{
    ends::{self, Place},
    forgetting,
    heads::{self, Head},
};
use crate::{db::DbError, secrets::keys::KeyRing};

/// Where the chain is to go on.
pub(super) struct End {
    pub(super) head: Head,
    /// An end that was known, and that the chain no longer has.
    pub(super) lost: Option<Head>,
    /// Whether it is a link of an older version, or one that an older version forgot, and ours.
    pub(super) is_behind_older: bool,
    /// Whether no end was ever told.
    pub(super) is_untold: bool,
    /// The key of the links before, if none of theirs is known here, and nobody told of this end.
    pub(super) unknown_key: Option<String>,
}

/// Finds the end of the chain. Where one was known that is further on, the chain goes on behind that: what is missing then
/// shows for ever as a gap. A known one that is no longer there is kept for whoever verifies.
pub(super) fn end_of(
    connection: &mut PgConnection,
    keys: &KeyRing,
    known: Option<Head>,
    now: DateTime<Utc>,
) -> Result<End, DbError> {
    let sealed = heads::sealed(connection, keys)?;
    let is_untold = sealed.is_empty();
    let ours = sealed.into_iter().filter(|head| head.is_ours == Some(true));
    let heads = ours.map(|sealed| sealed.head).chain(known);
    let highest = heads.max_by_key(|head| head.position);
    // A beginning that nobody vouches for counts only where nothing else is known.
    let stored = ends::beginning(connection, keys)?.filter(|stored| match stored.is_ours {
        Some(is_ours) => is_ours,
        None => highest.is_none(),
    });
    let last = ends::last_link(connection, keys)?;
    let is_behind_older = match (&last, &stored) {
        (Some(last), _) => last.is_older_and_ours,
        (None, Some(stored)) => stored.is_ours == Some(true) && stored.beginning.until.is_none(),
        (None, None) => false,
    };
    let beginning = stored.map(|stored| stored.beginning).unwrap_or_default();
    let unknown_key = last.as_ref().and_then(|last| last.unknown_key.clone());
    let last = last.map(|last| last.head).unwrap_or(Head {
        position: beginning.position,
        hash: beginning.hash,
    });
    let mut end = End {
        unknown_key: unknown_key.filter(|_| highest.as_ref() != Some(&last)),
        head: last,
        lost: None,
        is_behind_older,
        is_untold,
    };
    if let Some(highest) = highest {
        let place = ends::place_of(connection, &highest, beginning.position, end.head.position)?;
        if matches!(place, Place::Other | Place::Behind) {
            heads::keep(connection, keys, &highest, now)?;
            end.lost = Some(highest.clone());
        }
        if place == Place::Behind {
            end.head = highest;
        }
    }
    Ok(end)
}

/// What was told.
#[derive(Default)]
pub(super) struct Told {
    pub(super) end: Option<Head>,
    pub(super) lost: Option<Head>,
}

/// Keeps the end of the chain in the database, in the place of the one before, if that is still there; and seals the
/// beginning under the key of today.
pub(super) fn tell(
    connection: &mut PgConnection,
    keys: &KeyRing,
    known: Option<Head>,
    lost: &[Head],
    now: DateTime<Utc>,
) -> Result<Told, DbError> {
    if !ends::lock(connection)? {
        return Ok(Told::default());
    }
    // Whoever takes them out of the database does not take them out of mind.
    for lost in lost {
        heads::keep(connection, keys, lost, now)?;
    }
    let lost = end_of(connection, keys, known, now)?.lost;
    let begins = ends::beginning(connection, keys)?.filter(|stored| stored.is_ours == Some(true));
    if let Some(stored) = &begins
        && stored.key_id != keys.signing().id()
        && let Some(until) = stored.beginning.until
    {
        let (position, hash) = (stored.beginning.position, &stored.beginning.hash);
        forgetting::begin_at(connection, keys.signing(), position, hash, until)?;
    }
    let Some(end) = ends::last_link(connection, keys)?.map(|last| last.head) else {
        return Ok(Told { end: None, lost });
    };
    let begins = begins.map_or(0, |stored| stored.beginning.position);
    for sealed in heads::sealed(connection, keys)? {
        let place = ends::place_of(connection, &sealed.head, begins, end.position)?;
        let is_todays = sealed.head == end && sealed.key_id == keys.signing().id();
        let is_done = matches!(place, Place::Same | Place::Forgotten) && !is_todays;
        if is_done && sealed.is_ours != Some(false) {
            heads::drop_one(connection, &sealed.head)?;
        }
    }
    heads::keep(connection, keys, &end, now)?;
    Ok(Told {
        end: Some(end),
        lost,
    })
}
