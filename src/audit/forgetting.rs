//! Forgets the beginning of the log. What is left is a whole chain still: it begins at a link of which a sealed copy is
//! kept, so that nobody without the key can cut off more.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::{
    connection::SimpleConnection,
    prelude::*,
    sql_types::{BigInt, Bytea, Timestamptz},
};
use subtle::ConstantTimeEq;

use super::chain;
use crate::{
    db::{Db, DbError},
    schema::{audit_beginning, audit_links},
    secrets::keys::{Key, KeyRing, Purpose},
};

/// Events that one transaction forgets.
const AT_ONCE: i64 = 1_000;

/// Where the chain begins.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Beginning {
    /// The last link that was forgotten; 0 if none was.
    pub position: i64,
    pub mac: Vec<u8>,
}

/// Why a beginning is not believed.
#[derive(Debug)]
pub struct Unsealed(pub i64);

/// Reads it.
///
/// # Errors
/// When the database is away; the inner one when the seal is not ours.
pub fn beginning(
    connection: &mut PgConnection,
    keys: &KeyRing,
) -> Result<Result<Beginning, Unsealed>, DbError> {
    type Row = (i64, Vec<u8>, String, Vec<u8>);
    let row: Option<Row> = audit_beginning::table
        .order(audit_beginning::position.desc())
        .first(connection)
        .optional()?;
    let Some((position, mac, key_id, given)) = row else {
        return Ok(Ok(Beginning::default()));
    };
    let is_ours = keys
        .get(&key_id)
        .is_some_and(|key| bool::from(seal(key, position, &mac).ct_eq(&given)));
    Ok(if is_ours {
        Ok(Beginning { position, mac })
    } else {
        Err(Unsealed(position))
    })
}

/// No link is made of these: an event's begins with a length of its own.
fn seal(key: &Key, position: i64, mac: &[u8]) -> Vec<u8> {
    key.mac(
        Purpose::Audit,
        &[b"begins at", &position.to_be_bytes(), mac],
    )
    .to_vec()
}

/// Forgets all events from before a time that are in the chain, from its beginning on.
///
/// # Errors
/// When the database is away.
pub async fn forget(db: &Db, keys: &Arc<KeyRing>, before: DateTime<Utc>) -> Result<(), DbError> {
    loop {
        let keys = Arc::clone(keys);
        let forgotten = db
            .transaction(move |connection| forget_some(connection, keys.signing(), before))
            .await?;
        if forgotten < AT_ONCE {
            return Ok(());
        }
    }
}

#[derive(QueryableByName)]
struct Link {
    #[diesel(sql_type = BigInt)]
    position: i64,
    #[diesel(sql_type = Bytea)]
    mac: Vec<u8>,
    #[diesel(sql_type = Timestamptz)]
    at: DateTime<Utc>,
}

fn forget_some(
    connection: &mut PgConnection,
    key: &Key,
    before: DateTime<Utc>,
) -> Result<i64, DbError> {
    // Not while somebody links: both go by where the chain ends.
    if !chain::lock(connection)? {
        return Ok(0);
    }
    let links: Vec<Link> = diesel::sql_query(
        "SELECT l.position, l.mac, e.at FROM audit_links l JOIN audit_events e ON e.id = l.event_id
         ORDER BY l.position LIMIT $1",
    )
    .bind::<BigInt, _>(AT_ONCE)
    .load(connection)?;
    let old = links.partition_point(|link| link.at < before);
    // In the order of their links, which is nearly that of their times: the first young one ends it.
    let Some(last) = links[..old].last() else {
        return Ok(0);
    };
    connection.batch_execute("SET LOCAL enlist.forgets = 'audit'")?;
    diesel::sql_query(
        "WITH events AS (
            SELECT event_id FROM audit_links WHERE position <= $1
         ), details AS (
            DELETE FROM audit_details d USING events e WHERE d.event_id = e.event_id
         )
         DELETE FROM audit_events a USING events e WHERE a.id = e.event_id",
    )
    .bind::<BigInt, _>(last.position)
    .execute(connection)?;
    diesel::delete(audit_links::table.filter(audit_links::position.le(last.position)))
        .execute(connection)?;
    connection.batch_execute("SET LOCAL enlist.forgets = ''")?;
    diesel::delete(audit_beginning::table).execute(connection)?;
    diesel::insert_into(audit_beginning::table)
        .values((
            audit_beginning::position.eq(last.position),
            audit_beginning::mac.eq(&last.mac),
            audit_beginning::key_id.eq(key.id()),
            audit_beginning::seal.eq(seal(key, last.position, &last.mac)),
        ))
        .execute(connection)?;
    Ok(i64::try_from(old).unwrap_or(0))
}
