//! Forgets the beginning of the log. What is left is a whole chain still: it begins at a link of which a sealed copy is
//! kept, so that nobody without the key can cut off more.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Bool, Bytea, Text, Timestamptz},
};

use super::{ends, older, signature::seal_of_beginning, verifying};
use crate::{
    db::{Db, DbError},
    schema::audit_retention,
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
            .transaction(move |connection| forget_some(connection, &keys, before))
            .await?;
        if forgotten < AT_ONCE as usize {
            return Ok(());
        }
    }
}

/// Says how long events are to be kept, as the owner of the schema: the database lets nobody forget younger ones. Whoever
/// is not the owner changes nothing.
///
/// # Errors
/// When the database is away.
pub fn allow(connection: &mut PgConnection, keep: Option<TimeDelta>) -> Result<(), DbError> {
    let days = keep.and_then(|keep| i32::try_from(keep.num_days()).ok());
    let may: Permission =
        diesel::sql_query(include_str!("sql/may_forget.sql")).get_result(connection)?;
    if !may.may {
        return Ok(());
    }
    connection.transaction(|connection| {
        let others = audit_retention::table.filter(audit_retention::days.ne(days.unwrap_or(-1)));
        diesel::delete(others).execute(connection)?;
        let days = days.map(|days| audit_retention::days.eq(days));
        if let Some(days) = days {
            diesel::insert_into(audit_retention::table)
                .values(days)
                .on_conflict_do_nothing()
                .execute(connection)?;
        }
        Ok(())
    })
}

#[derive(QueryableByName)]
struct Permission {
    #[diesel(sql_type = Bool)]
    may: bool,
}

#[derive(QueryableByName)]
struct Link {
    #[diesel(sql_type = BigInt)]
    position: i64,
    #[diesel(sql_type = Timestamptz)]
    at: DateTime<Utc>,
}

fn forget_some(
    connection: &mut PgConnection,
    keys: &KeyRing,
    before: DateTime<Utc>,
) -> Result<usize, DbError> {
    // Not while somebody links: both go by where the chain ends.
    if !ends::lock(connection)? {
        return Ok(0);
    }
    let faults = verifying::faults_at_the_beginning(connection, keys, AT_ONCE, before)?;
    if let Some(fault) = faults.first() {
        tracing::error!(
            fault,
            "the audit log forgets nothing, since it is not what was written: run `enlist audit verify`"
        );
        return Ok(0);
    }
    let links: Vec<Link> = diesel::sql_query(include_str!("sql/oldest.sql"))
        .bind::<BigInt, _>(AT_ONCE)
        .load(connection)?;
    // In the order of their links, which is nearly that of their times: the first young one ends it.
    let old = links.iter().take_while(|link| link.at < before).count();
    let Some(last) = links[..old].last() else {
        return Ok(0);
    };
    let hash = older::hash_at(connection, keys, last.position)?;
    let hash = hash.ok_or_else(|| DbError::Stored("audit_links lost a link".into()))?;
    begin_at(connection, keys.signing(), last.position, &hash, before)?;
    Ok(old)
}

/// Forgets all up to a link, and seals it as the one that the chain begins behind. By the owner's function: the service's
/// own role may not delete here.
pub(super) fn begin_at(
    connection: &mut PgConnection,
    key: &Key,
    position: i64,
    hash: &[u8],
    until: DateTime<Utc>,
) -> Result<(), DbError> {
    let seal = seal_of_beginning(key, position, hash, Some(until));
    diesel::sql_query(include_str!("sql/forget.sql"))
        .bind::<BigInt, _>(position)
        .bind::<Bytea, _>(hash)
        .bind::<Timestamptz, _>(until)
        .bind::<Text, _>(key.id())
        .bind::<Bytea, _>(seal.to_vec())
        .execute(connection)?;
    Ok(())
}
