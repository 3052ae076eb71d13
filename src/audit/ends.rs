//! The two ends of the chain: where it begins, where it ends, and whose turn it is to change them.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Bool},
};
use subtle::ConstantTimeEq;
use uuid::Uuid;

use super::{
    evidence,
    heads::Head,
    signature::{mac_of_link, seal_of_beginning},
};
use crate::{
    db::DbError,
    schema::{audit_beginning, audit_links},
    secrets::keys::KeyRing,
};

/// The advisory lock of whoever links or forgets.
const LOCK: i64 = 0x656e_6c69_7374_6175;

/// Links that are looked at from the end on, for one of ours. Somebody who may add rows may have put others behind it.
const LOOKED_AT: i64 = 1_000;

#[derive(QueryableByName)]
struct Taken {
    #[diesel(sql_type = Bool)]
    taken: bool,
}

/// Whether the ends of the chain are ours until the end of the transaction.
pub(super) fn lock(connection: &mut PgConnection) -> Result<bool, DbError> {
    let lock: Taken = diesel::sql_query("SELECT pg_try_advisory_xact_lock($1) AS taken")
        .bind::<BigInt, _>(LOCK)
        .get_result(connection)?;
    Ok(lock.taken)
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
pub(super) struct Bare {
    pub(super) position: i64,
    pub(super) event_id: Uuid,
    pub(super) key_id: String,
    pub(super) mac: Vec<u8>,
    /// `None`: an older version made it.
    pub(super) hash: Option<Vec<u8>>,
}

impl Bare {
    /// The end of the chain, if it is the last one.
    fn head(self) -> Head {
        Head {
            position: self.position,
            hash: self.hash.unwrap_or(self.mac),
        }
    }

    /// Whether it is ours; `None`: its key is not known here.
    fn is_ours(
        &self,
        connection: &mut PgConnection,
        keys: &KeyRing,
    ) -> Result<Option<bool>, DbError> {
        let Some(key) = keys.get(&self.key_id) else {
            return Ok(None);
        };
        let expected = match &self.hash {
            Some(hash) => mac_of_link(key, hash),
            None => {
                let before: Option<Vec<u8>> = audit_links::table
                    .filter(audit_links::position.eq(self.position - 1))
                    .select(audit_links::mac)
                    .first(connection)
                    .optional()?;
                let begins = audit_beginning::table
                    .filter(audit_beginning::position.eq(self.position - 1))
                    .select(audit_beginning::mac);
                let before = match before {
                    Some(before) => before,
                    None => begins.first(connection).optional()?.unwrap_or_default(),
                };
                let Some(event) =
                    evidence::events(connection, &[self.event_id])?.remove(&self.event_id)
                else {
                    return Ok(Some(false));
                };
                let content = event.content_as_before();
                content.first_link(key, &before, self.position)
            }
        };
        Ok(Some(bool::from(expected[..].ct_eq(&self.mac))))
    }
}

/// The last link.
pub(super) struct Last {
    pub(super) head: Head,
    /// Whether an older version made it, with a key that is known here.
    pub(super) is_older_and_ours: bool,
    /// The key that it was made with, if that is not known here, nor that of another link.
    pub(super) unknown_key: Option<String>,
}

/// The last link that is ours, if there is any; where the key of none is known, the last one.
pub(super) fn last_link(
    connection: &mut PgConnection,
    keys: &KeyRing,
) -> Result<Option<Last>, DbError> {
    const FEW: i64 = 20;
    type Row = (i64, Uuid, String, Vec<u8>, Option<Vec<u8>>);
    let mut unknown = None;
    let mut below = i64::MAX;
    let mut looked_at = 0;
    while looked_at < LOOKED_AT {
        let rows: Vec<Row> = audit_links::table
            .filter(audit_links::position.lt(below))
            .order(audit_links::position.desc())
            .limit(FEW)
            .select((
                audit_links::position,
                audit_links::event_id,
                audit_links::key_id,
                audit_links::mac,
                audit_links::hash,
            ))
            .load(connection)?;
        let is_last = i64::try_from(rows.len()).unwrap_or(FEW) < FEW;
        for (position, event_id, key_id, mac, hash) in rows {
            let link = Bare {
                position,
                event_id,
                key_id,
                mac,
                hash,
            };
            below = position;
            match link.is_ours(connection, keys)? {
                Some(true) => {
                    return Ok(Some(Last {
                        is_older_and_ours: link.hash.is_none(),
                        unknown_key: None,
                        head: link.head(),
                    }));
                }
                Some(false) => {}
                None => {
                    unknown.get_or_insert_with(|| Last {
                        is_older_and_ours: false,
                        unknown_key: Some(link.key_id.clone()),
                        head: link.head(),
                    });
                }
            }
        }
        if is_last {
            break;
        }
        looked_at += FEW;
    }
    Ok(unknown)
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
