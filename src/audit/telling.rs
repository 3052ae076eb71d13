//! Where the chain goes on, and how its end is told.

use chrono::{DateTime, Utc};
use diesel::PgConnection;

use super::{
    ends::{self, Place},
    forgetting,
    heads::{self, Head},
    proof::Proof,
};
use crate::{db::DbError, secrets::keys::KeyRing};

/// Where the chain is to go on.
pub(super) struct End {
    pub(super) head: Head,
    /// The last link, where all up to it can be vouched for.
    last: Option<Head>,
    /// An end that was known, and that the chain no longer has.
    pub(super) lost: Option<Head>,
    /// Whether it is a link of an older version, or one that an older version forgot, and ours.
    pub(super) is_behind_older: bool,
    /// Whether no end was ever told.
    pub(super) is_untold: bool,
    /// The key of the links before, if it is not known here.
    pub(super) unknown_key: Option<String>,
}

/// Finds the end of the chain: the last link behind the highest end that we told or made ourselves and that is still there.
/// Where one was known that is further on, the chain goes on behind that: what is missing then shows for ever as a gap. A
/// known one that is no longer there is kept for whoever verifies.
pub(super) fn end_of(
    connection: &mut PgConnection,
    keys: &KeyRing,
    known: Option<Head>,
    now: DateTime<Utc>,
) -> Result<End, DbError> {
    let sealed = heads::sealed(connection, keys)?;
    let is_untold = sealed.is_empty();
    let ours = sealed.into_iter().filter(|head| head.is_ours == Some(true));
    // What is known here first: the others are in the database.
    let heads: Vec<Head> = known
        .into_iter()
        .chain(ours.map(|sealed| sealed.head))
        .collect();
    // A beginning that nobody vouches for counts only where nothing else is known.
    let stored = ends::beginning(connection, keys)?.filter(|stored| match stored.is_ours {
        Some(is_ours) => is_ours,
        None => heads.is_empty(),
    });
    let is_behind_forgotten = stored
        .as_ref()
        .is_some_and(|stored| stored.is_ours == Some(true) && stored.beginning.until.is_none());
    let beginning = stored.map(|stored| stored.beginning).unwrap_or_default();
    let top = ends::top(connection)?.max(beginning.position);
    let (mut from, mut lost, mut behind_gap) = (None::<Head>, None, None::<Head>);
    let is_above = |head: &Head, other: &Option<Head>| {
        let other = other.as_ref();
        other.is_none_or(|other| other.position < head.position)
    };
    for head in heads {
        let place = ends::place_of(connection, &head, beginning.position, top)?;
        match place {
            Place::Same if is_above(&head, &from) => from = Some(head),
            Place::Same | Place::Forgotten => {}
            Place::Other | Place::Behind => {
                heads::keep(connection, keys, &head, now)?;
                lost.get_or_insert_with(|| head.clone());
                if place == Place::Behind && is_above(&head, &behind_gap) {
                    behind_gap = Some(head);
                }
            }
        }
    }
    let base = from
        .as_ref()
        .map_or(beginning.position, |head| head.position);
    let last = ends::last_link_behind(connection, keys, base)?;
    let is_behind_older = match (&last, &from) {
        (Some(last), _) => last.is_older_and_ours,
        (None, Some(head)) => ends::is_older(connection, head.position)?,
        (None, None) => is_behind_forgotten,
    };
    let unknown_key = last.as_ref().and_then(|last| last.unknown_key.clone());
    let last = last.map(|last| last.head).or(from);
    let head = behind_gap.or_else(|| last.clone()).unwrap_or(Head {
        position: beginning.position,
        hash: beginning.hash,
    });
    Ok(End {
        head,
        last: last.filter(|_| unknown_key.is_none()),
        lost,
        is_behind_older,
        is_untold,
        unknown_key,
    })
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
    let End { last, lost, .. } = end_of(connection, keys, known, now)?;
    let begins = ends::beginning(connection, keys)?.filter(|stored| stored.is_ours == Some(true));
    if let Some(stored) = &begins {
        let (position, hash) = (stored.beginning.position, &stored.beginning.hash);
        // An older version told no time; all that it forgot is from before the upgrade.
        let until = match stored.beginning.until {
            Some(until) => Some(until).filter(|_| stored.key_id != keys.signing().id()),
            None => Proof::of(connection, keys, position, now)?.upgraded_at(),
        };
        if let Some(until) = until {
            forgetting::begin_at(connection, keys.signing(), position, hash, until)?;
        }
    }
    // What nobody here can vouch for is not sealed.
    let Some(end) = last else {
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
