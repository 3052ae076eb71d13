//! Forgets the beginning of the log. What is left is a whole chain still: it begins at a link of which a sealed copy is
//! kept, so that nobody without the key can cut off more.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::{
    connection::SimpleConnection,
    prelude::*,
    sql_types::{BigInt, Bytea, Timestamptz},
};

use super::ends::{self, seal};
use crate::{
    db::{Db, DbError},
    schema::{audit_beginning, audit_links},
    secrets::keys::{Key, KeyRing},
};

/// Events that one transaction forgets.
const AT_ONCE: i64 = 1_000;

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
    if !ends::lock(connection)? {
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
