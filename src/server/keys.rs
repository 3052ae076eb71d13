//! Whether the configured keys are those that pending invitations were made with.

use chrono::{DateTime, Utc};
use diesel::PgConnection;

use crate::{
    clock::Clock,
    db::{Db, DbError},
    invitations::key_use,
    secrets::keys::KeyRing,
};

/// Refuses a start that would make mails or PINs fail later, one by one, and writes down which key stands behind each id.
///
/// # Errors
/// Which key is missing or another one; that the database cannot be asked.
pub async fn check_keys(db: &Db, keys: &KeyRing, clock: &Clock) -> anyhow::Result<()> {
    let (now, known) = (clock.now(), identities(keys));
    let wrong = db
        .transaction(move |connection| {
            let used = key_use::keys_in_use(connection, now)?;
            let wrong = wrong(connection, &known, &used)?;
            if wrong.is_none() {
                key_use::identify_keys(connection, &known)?;
            }
            Ok::<_, DbError>(wrong)
        })
        .await
        .map_err(unreadable)?;
    wrong.map_or(Ok(()), |wrong| Err(anyhow::anyhow!("{wrong}")))
}

/// The id of a key that is another one than the service's of that id, if there is any: nothing must be signed with it.
///
/// # Errors
/// When the database cannot be asked.
pub fn impostor(connection: &mut PgConnection, keys: &KeyRing) -> Result<Option<String>, DbError> {
    let known = identities(keys);
    let ids: Vec<String> = known.iter().map(|(id, _)| id.clone()).collect();
    Ok(key_use::other_keys(connection, &known, &ids)?.pop())
}

/// Keys that can be taken out of the configuration: invitations were made with them, and none of those is pending.
///
/// # Errors
/// As [`check_keys`]; nothing is written.
pub async fn look_at_keys(
    db: &Db,
    keys: &KeyRing,
    now: DateTime<Utc>,
) -> anyhow::Result<Vec<String>> {
    let (known, signing) = (identities(keys), keys.signing().id().to_owned());
    let looked_at = db
        .read(move |connection| {
            let used = key_use::keys_in_use(connection, now)?;
            if let Some(wrong) = wrong(connection, &known, &used)? {
                return Ok(Err(wrong));
            }
            let ids = known.iter().map(|(id, _)| id.clone());
            let idle: Vec<String> = ids
                .filter(|id| *id != signing && !used.contains(id))
                .collect();
            key_use::keys_used_before(connection, &idle).map(Ok)
        })
        .await;
    looked_at
        .map_err(unreadable)?
        .map_err(|wrong| anyhow::anyhow!("{wrong}"))
}

/// The keys by id, each with what tells it from others.
fn identities(keys: &KeyRing) -> Vec<(String, String)> {
    keys.iter()
        .map(|key| (key.id().to_owned(), key.identity()))
        .collect()
}

fn wrong(
    connection: &mut PgConnection,
    known: &[(String, String)],
    used: &[String],
) -> Result<Option<String>, DbError> {
    let is_missing = |id: &&String| known.iter().all(|(known, _)| known != *id);
    if let Some(id) = used.iter().find(is_missing) {
        return Ok(Some(format!(
            "ENLIST_SECRET_KEYS: the key `{id}` is missing, and pending invitations were made with it; \
             keep it in the list until they have ended"
        )));
    }
    let others = key_use::other_keys(connection, known, used)?;
    Ok(others.first().map(|id| {
        format!(
            "ENLIST_SECRET_KEYS: the key `{id}` is not the one that pending invitations were made with; \
             give a new key an id of its own, in front of the old one"
        )
    }))
}

/// Why nothing is known of the keys.
fn unreadable(error: DbError) -> anyhow::Error {
    match error {
        DbError::Unavailable(reason) => {
            anyhow::anyhow!("DATABASE_URL: the database cannot be reached: {reason}")
        }
        error => anyhow::anyhow!(
            "the database cannot be read ({error}); if it is empty, run `enlist migrate`"
        ),
    }
}
