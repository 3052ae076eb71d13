//! Seals what is stored of settings under the key that signs: what was stored before they were sealed, and what is under
//! another key. Beside serving, and any number of instances may.

use std::{sync::Arc, time::Duration};

use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Bool, Jsonb, Text, Uuid as SqlUuid},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    columns::{MEMBER, written},
    domain::Kind,
};
use crate::{
    db::{Db, DbError},
    schema::{setting_versions, settings},
    secrets::keys::KeyRing,
};

/// Versions that one transaction seals.
const AT_ONCE: i64 = 500;
/// Older instances cannot read what is sealed: they get so long to end before what they stored is.
const GRACE: Duration = Duration::from_secs(5 * 60);
/// They may have stored more since.
const EVERY: Duration = Duration::from_secs(60 * 60);
/// Settings that a refused start names.
const NAMED: i64 = 3;

/// What is to be sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// What is under another of the keys.
    UnderOthers,
    /// That, and what is not sealed yet.
    All,
}

/// Seals what there is to seal, again and again, until it is dropped.
pub async fn run(db: Db, keys: Arc<KeyRing>) {
    let (mut what, mut pause) = (What::UnderOthers, GRACE);
    loop {
        if let Err(error) = settle(&db, &keys, what).await {
            tracing::warn!(%error, "settings cannot be sealed; they are left as they are until the next try");
        }
        tokio::time::sleep(pause).await;
        (what, pause) = (What::All, EVERY);
    }
}

/// Seals all of it. What cannot be read is left and told of.
///
/// # Errors
/// When the database is away.
pub async fn settle(db: &Db, keys: &Arc<KeyRing>, what: What) -> Result<(), DbError> {
    let mut after = Uuid::nil();
    loop {
        let keys = Arc::clone(keys);
        let last = db
            .transaction(move |connection| step(connection, &keys, what, after))
            .await?;
        match last {
            Some(last) => after = last,
            None => return Ok(()),
        }
    }
}

#[derive(QueryableByName)]
struct Version {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Jsonb)]
    body: Value,
}

/// Seals the next versions behind this one. Gives the last that was looked at.
fn step(
    connection: &mut PgConnection,
    keys: &KeyRing,
    what: What,
    after: Uuid,
) -> Result<Option<Uuid>, DbError> {
    let others: Vec<&str> = keys.iter().skip(1).map(|key| key.id()).collect();
    let found: Vec<Version> = diesel::sql_query(include_str!("sql/to_seal.sql"))
        .bind::<Array<Text>, _>(others)
        .bind::<SqlUuid, _>(after)
        .bind::<BigInt, _>(AT_ONCE)
        .bind::<Bool, _>(what == What::All)
        .load(connection)?;
    let last = found.last().map(|version| version.id);
    let (mut ids, mut bodies, mut sealed) = (Vec::new(), Vec::new(), Vec::new());
    for Version { id, body } in found {
        match written(keys, id, body.clone()) {
            Ok(new) => {
                ids.push(id);
                bodies.push(body);
                sealed.push(new);
            }
            Err(error) => tracing::error!(version = %id, %error, "a setting cannot be sealed"),
        }
    }
    if !ids.is_empty() {
        diesel::sql_query(include_str!("sql/seal.sql"))
            .bind::<Array<SqlUuid>, _>(ids)
            .bind::<Array<Jsonb>, _>(bodies)
            .bind::<Array<Jsonb>, _>(sealed)
            .execute(connection)?;
    }
    Ok(last)
}

/// Ids of the keys that something is sealed under.
///
/// # Errors
/// When the database is away.
pub fn keys_in_use(connection: &mut PgConnection) -> Result<Vec<String>, DbError> {
    #[derive(QueryableByName)]
    struct Key {
        #[diesel(sql_type = Text)]
        id: String,
    }
    let keys: Vec<Key> = diesel::sql_query(include_str!("sql/keys_in_use.sql")).load(connection)?;
    Ok(keys.into_iter().map(|key| key.id).collect())
}

/// What is sealed under this key, in words: settings by their names, or only versions of before.
///
/// # Errors
/// When the database is away.
pub fn sealed_under(connection: &mut PgConnection, key: &str) -> Result<String, DbError> {
    let names: Vec<String> = settings::table
        .inner_join(setting_versions::table)
        .filter(settings::kind.eq(Kind::Registration))
        .filter(setting_versions::sealed_under.eq(key))
        .order((settings::priority, settings::id))
        .limit(NAMED + 1)
        .select(settings::name)
        .load(connection)?;
    let named = usize::try_from(NAMED).unwrap_or_default();
    let mut shown: Vec<String> = names
        .iter()
        .take(named)
        .map(|name| format!("`{name}`"))
        .collect();
    if names.len() > named {
        shown.push("others".to_owned());
    }
    Ok(match shown.len() {
        0 => "settings that invitations were sent with".to_owned(),
        _ => format!("registration settings ({})", shown.join(", ")),
    })
}

/// Takes out what is sealed under a key that nobody has any more.
///
/// # Errors
/// When the database is away.
pub fn take_out(connection: &mut PgConnection, key: &str) -> Result<(), DbError> {
    diesel::update(setting_versions::table.filter(setting_versions::sealed_under.eq(key)))
        .set(setting_versions::body.eq(setting_versions::body.remove(MEMBER)))
        .execute(connection)?;
    Ok(())
}
