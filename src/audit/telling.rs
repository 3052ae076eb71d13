//! Where the chain goes on, and how its end is told.

use chrono::{DateTime, Utc};
use diesel::PgConnection;

use super::{
    ends::{self, Place},
    heads::{self, Head},
};
use crate::{db::DbError, secrets::keys::KeyRing};

/// Where the chain is to go on.
pub(super) struct End {
    pub(super) head: Head,
    /// An end that was known, and that the chain no longer has.
    pub(super) lost: Option<Head>,
    /// Whether there is nothing in front of it.
    pub(super) is_first: bool,
    /// Whether this version has forgotten something: then it has looked after the log before.
    pub(super) has_forgotten: bool,
}

/// Finds the end of the chain. Where one was known that is further on, the chain goes on behind that: what is missing then
/// shows for ever as a gap. A known one that is no longer there is kept for whoever verifies.
pub(super) fn end_of(
    connection: &mut PgConnection,
    keys: &KeyRing,
    known: Option<Head>,
    now: DateTime<Utc>,
) -> Result<End, DbError> {
    let beginning = ends::beginning(connection, keys)?.map(|stored| stored.beginning);
    let last = ends::last_link(connection)?;
    let is_first = last.is_none() && beginning.is_none();
    let has_forgotten = beginning
        .as_ref()
        .is_some_and(|beginning| beginning.until.is_some());
    let beginning = beginning.unwrap_or_default();
    let last = last.unwrap_or(Head {
        position: beginning.position,
        mac: beginning.mac,
    });
    let sealed = heads::sealed(connection, keys)?;
    let ours = sealed.into_iter().filter(|head| head.is_ours == Some(true));
    let highest = ours
        .map(|sealed| sealed.head)
        .chain(known)
        .max_by_key(|head| head.position);
    let Some(highest) = highest else {
        return Ok(End {
            head: last,
            lost: None,
            is_first,
            has_forgotten,
        });
    };
    let place = ends::place_of(connection, &highest, beginning.position, last.position)?;
    let lost = matches!(place, Place::Other | Place::Behind).then(|| highest.clone());
    if let Some(lost) = &lost {
        heads::keep(connection, keys, lost, now)?;
    }
    Ok(End {
        head: if place == Place::Behind {
            highest
        } else {
            last
        },
        lost,
        is_first,
        has_forgotten,
    })
}

/// What was told.
pub(super) struct Told {
    pub(super) end: Option<Head>,
    pub(super) lost: Option<Head>,
}

/// Keeps the end of the chain in the database, in the place of the one before, if that is still there.
pub(super) fn tell(
    connection: &mut PgConnection,
    keys: &KeyRing,
    known: Option<Head>,
    now: DateTime<Utc>,
) -> Result<Told, DbError> {
    if !ends::lock(connection)? {
        return Ok(Told {
            end: None,
            lost: None,
        });
    }
    let lost = end_of(connection, keys, known, now)?.lost;
    let Some(end) = ends::last_link(connection)? else {
        return Ok(Told { end: None, lost });
    };
    let begins = ends::beginning(connection, keys)?;
    let begins = begins.map_or(0, |stored| stored.beginning.position);
    for sealed in heads::sealed(connection, keys)? {
        let place = ends::place_of(connection, &sealed.head, begins, end.position)?;
        let is_done = matches!(place, Place::Same | Place::Forgotten) && sealed.head != end;
        if is_done && sealed.is_ours == Some(true) {
            heads::drop_one(connection, &sealed.head)?;
        }
    }
    heads::keep(connection, keys, &end, now)?;
    Ok(Told {
        end: Some(end),
        lost,
    })
}
