//! The two ends of the chain: where it begins, where it ends, and whose turn it is to change them.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Bool},
};
use subtle::ConstantTimeEq;

use super::{heads::Head, signature::seal_of_beginning};
use crate::{
    db::DbError,
    schema::{audit_beginning, audit_links},
    secrets::keys::KeyRing,
};

/// The advisory lock of whoever links or forgets.
const LOCK: i64 = 0x656e_6c69_7374_6175;

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
    pub(super) mac: Vec<u8>,
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
    Ok(row.map(|(position, mac, key_id, seal, until)| {
        let expected = keys
            .get(&key_id)
            .map(|key| seal_of_beginning(key, position, &mac, until));
        Stored {
            is_ours: expected.map(|expected| bool::from(expected[..].ct_eq(&seal))),
            key_id,
            beginning: Beginning {
                position,
                mac,
                until,
            },
        }
    }))
}

/// The last link, if there is any.
pub(super) fn last_link(connection: &mut PgConnection) -> Result<Option<Head>, DbError> {
    let last: Option<(i64, Vec<u8>)> = audit_links::table
        .order(audit_links::position.desc())
        .select((audit_links::position, audit_links::mac))
        .first(connection)
        .optional()?;
    Ok(last.map(|(position, mac)| Head { position, mac }))
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

/// Looks a head up in the chain as it is.
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
    let there: Option<Vec<u8>> = audit_links::table
        .filter(audit_links::position.eq(head.position))
        .select(audit_links::mac)
        .first(connection)
        .optional()?;
    Ok(if there.as_ref() == Some(&head.mac) {
        Place::Same
    } else {
        Place::Other
    })
}
