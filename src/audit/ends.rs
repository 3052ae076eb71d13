//! The two ends of the chain: where it begins, where it ends, and whose turn it is to change them.

use chrono::{DateTime, Utc};
use diesel::{prelude::*, sql_types::BigInt};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{
    evidence,
    heads::Head,
    rows::EventRow,
    signature::{mac_of_link, seal_of_beginning},
};
use crate::{
    db::DbError,
    schema::{audit_beginning, audit_links},
    secrets::keys::KeyRing,
};

/// The advisory lock of whoever links or forgets.
const LOCK: i64 = 0x656e_6c69_7374_6175;

/// Links that are looked at at a time.
const AT_ONCE: i64 = 1_000;

define_sql_function! {
    /// Takes a lock until the end of the transaction, or says at once that it is taken.
    fn pg_try_advisory_xact_lock(key: BigInt) -> Bool;
}

/// Whether the ends of the chain are ours until the end of the transaction.
pub(super) fn lock(connection: &mut PgConnection) -> Result<bool, DbError> {
    Ok(diesel::select(pg_try_advisory_xact_lock(LOCK)).get_result(connection)?)
}

/// Where the chain begins.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Beginning {
    /// The last link that was forgotten; 0 if none was.
    pub(super) position: i64,
    /// Its hash; where an older version forgot it, its MAC.
    pub(super) hash: Vec<u8>,
    /// All that was forgotten is from before this time.
    pub(super) until: Option<DateTime<Utc>>,
}

/// A beginning as it is stored.
pub(super) struct Stored {
    pub(super) beginning: Beginning,
    pub(super) key_id: String,
    /// Whether the seal is ours; `None`: the key is not known here.
    pub(super) is_ours: Option<bool>,
}

/// Reads where the chain begins: `None` if nothing was forgotten.
pub(super) fn beginning(
    connection: &mut PgConnection,
    keys: &KeyRing,
) -> Result<Option<Stored>, DbError> {
    type Row = (i64, Vec<u8>, String, Vec<u8>, Option<DateTime<Utc>>);
    let row: Option<Row> = audit_beginning::table
        .order(audit_beginning::position.desc())
        .select((
            audit_beginning::position,
            audit_beginning::mac,
            audit_beginning::key_id,
            audit_beginning::seal,
            audit_beginning::until,
        ))
        .first(connection)
        .optional()?;
    Ok(row.map(|(position, hash, key_id, seal, until)| {
        let expected = keys
            .get(&key_id)
            .map(|key| seal_of_beginning(key, position, &hash, until));
        Stored {
            is_ours: expected.map(|expected| bool::from(expected[..].ct_eq(&seal))),
            key_id,
            beginning: Beginning {
                position,
                hash,
                until,
            },
        }
    }))
}

/// A link without its event.
struct Bare {
    position: i64,
    key_id: String,
    mac: Vec<u8>,
    /// `None`: an older version made it.
    hash: Option<Vec<u8>>,
}

impl Bare {
    /// Whether it is ours; `None`: its key is not known here.
    fn is_ours(&self, keys: &KeyRing, event: Option<&EventRow>, before: &[u8]) -> Option<bool> {
        let key = keys.get(&self.key_id)?;
        let expected = match (&self.hash, event) {
            (Some(hash), _) => mac_of_link(key, hash),
            (None, Some(event)) => {
                let content = event.content_as_before();
                content.first_link(key, before, self.position)
            }
            (None, None) => return Some(false),
        };
        Some(bool::from(expected[..].ct_eq(&self.mac)))
    }
}

/// The last link.
pub(super) struct Last {
    pub(super) head: Head,
    /// Whether an older version made it, with a key that is known here.
    pub(super) is_older_and_ours: bool,
    /// The key that it was made with, if that is not known here.
    pub(super) unknown_key: Option<String>,
}

/// The last link behind a position, with all between them looked at: one that is not what its key makes does not count. Rows
/// can be added by whoever has the database; that one of ours is somewhere before says nothing of them.
pub(super) fn last_link_behind(
    connection: &mut PgConnection,
    keys: &KeyRing,
    position: i64,
) -> Result<Option<Last>, DbError> {
    type Row = (i64, Uuid, String, Vec<u8>, Option<Vec<u8>>);
    let at_position = audit_links::table
        .filter(audit_links::position.eq(position))
        .select(audit_links::mac)
        .first(connection)
        .optional()?;
    let mut before: Vec<u8> = match at_position {
        Some(mac) => mac,
        None => audit_beginning::table
            .filter(audit_beginning::position.eq(position))
            .select(audit_beginning::mac)
            .first(connection)
            .optional()?
            .unwrap_or_default(),
    };
    let (mut last, mut behind) = (None, position);
    loop {
        let rows: Vec<Row> = audit_links::table
            .filter(audit_links::position.gt(behind))
            .order(audit_links::position)
            .limit(AT_ONCE)
            .select((
                audit_links::position,
                audit_links::event_id,
                audit_links::key_id,
                audit_links::mac,
                audit_links::hash,
            ))
            .load(connection)?;
        let Some((end, ..)) = rows.last() else {
            return Ok(last);
        };
        behind = *end;
        let older = rows
            .iter()
            .filter(|(_, _, key, _, hash)| hash.is_none() && keys.get(key).is_some());
        let older: Vec<Uuid> = older.map(|(_, event, ..)| *event).collect();
        let events = evidence::events(connection, &older)?;
        for (position, event_id, key_id, mac, hash) in rows {
            let link = Bare {
                position,
                key_id,
                mac,
                hash,
            };
            let is_ours = link.is_ours(keys, events.get(&event_id), &before);
            before.clone_from(&link.mac);
            if is_ours != Some(false) {
                last = Some(Last {
                    is_older_and_ours: link.hash.is_none() && is_ours == Some(true),
                    unknown_key: is_ours.is_none().then_some(link.key_id),
                    head: Head {
                        position,
                        hash: link.hash.unwrap_or(link.mac),
                    },
                });
            }
        }
    }
}

/// Whether an older version made the link at a position.
pub(super) fn is_older(connection: &mut PgConnection, position: i64) -> Result<bool, DbError> {
    let older = audit_links::table
        .filter(audit_links::position.eq(position))
        .filter(audit_links::hash.is_null())
        .select(audit_links::position);
    Ok(diesel::select(diesel::dsl::exists(older)).get_result(connection)?)
}

/// The position of the last link, whoever made it; 0 if there is none.
pub(super) fn top(connection: &mut PgConnection) -> Result<i64, DbError> {
    let top: Option<i64> = audit_links::table
        .select(diesel::dsl::max(audit_links::position))
        .first(connection)?;
    Ok(top.unwrap_or(0))
}

/// What is there in a head's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// The link that it tells of.
    Same,
    /// Another link, or none with later ones behind it.
    Other,
    /// Nothing: the chain ends before it.
    Behind,
    /// It was forgotten: the chain begins behind it.
    Forgotten,
}

/// Looks a head up in the chain as it is. `beginning` is 0 where nobody vouches for it.
pub(super) fn place_of(
    connection: &mut PgConnection,
    head: &Head,
    beginning: i64,
    end: i64,
) -> Result<Place, DbError> {
    if head.position <= beginning {
        return Ok(Place::Forgotten);
    }
    if head.position > end {
        return Ok(Place::Behind);
    }
    type Row = (Option<Vec<u8>>, Vec<u8>);
    let there: Option<Row> = audit_links::table
        .filter(audit_links::position.eq(head.position))
        .select((audit_links::hash, audit_links::mac))
        .first(connection)
        .optional()?;
    let there = there.map(|(hash, mac)| hash.unwrap_or(mac));
    Ok(if there.as_ref() == Some(&head.hash) {
        Place::Same
    } else {
        Place::Other
    })
}
