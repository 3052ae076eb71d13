//! Forgets the beginning of the log. What is left is a whole chain still: it begins at a link of which a sealed copy is
//! kept, so that nobody without the key can cut off more.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Bytea, Text, Timestamptz},
};

use super::{ends, signature::seal_of_beginning};
use crate::{
    db::{Db, DbError},
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
        if forgotten < AT_ONCE as usize {
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
) -> Result<usize, DbError> {
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
    // In the order of their links, which is nearly that of their times: the first young one ends it.
    let old = links.iter().take_while(|link| link.at < before).count();
    let Some(last) = links[..old].last() else {
        return Ok(0);
    };
    let seal = seal_of_beginning(key, last.position, &last.mac, Some(before));
    // The owner's function: the service's own role may not delete here.
    diesel::sql_query("SELECT enlist_audit_forget($1, $2, $3, $4, $5)")
        .bind::<BigInt, _>(last.position)
        .bind::<Bytea, _>(&last.mac)
        .bind::<Timestamptz, _>(before)
        .bind::<Text, _>(key.id())
        .bind::<Bytea, _>(seal.to_vec())
        .execute(connection)?;
    Ok(old)
}
