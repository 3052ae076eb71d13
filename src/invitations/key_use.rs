//! Which of the service's keys invitations were made with.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{count_star, max},
    prelude::*,
};

use crate::{
    db::DbError,
    model::invitation::State,
    schema::{invitations, secret_keys},
};

/// A key that pending invitations were made with.
#[derive(Queryable)]
pub struct InUse {
    pub key: String,
    pub invitations: i64,
    /// When the last of them ends by itself.
    pub until: Option<DateTime<Utc>>,
}

/// The keys that pending invitations were made with.
///
/// # Errors
/// When the database is away.
pub fn keys_in_use(
    connection: &mut PgConnection,
    now: DateTime<Utc>,
) -> Result<Vec<InUse>, DbError> {
    Ok(invitations::table
        .filter(invitations::state.eq(State::Pending))
        .filter(invitations::expires_at.gt(now))
        .group_by(invitations::key_id)
        .select((
            invitations::key_id,
            count_star(),
            max(invitations::expires_at),
        ))
        .order(invitations::key_id)
        .load(connection)?)
}

/// Of these keys, each with what tells it from others, the ids behind which another key stood, and still does for what needs
/// it.
///
/// # Errors
/// When the database is away.
pub fn other_keys(
    connection: &mut PgConnection,
    keys: &[(String, String)],
    in_use: &[String],
) -> Result<Vec<String>, DbError> {
    let known: HashMap<String, String> = secret_keys::table
        .filter(secret_keys::id.eq_any(in_use))
        .select((secret_keys::id, secret_keys::fingerprint))
        .load::<(String, String)>(connection)?
        .into_iter()
        .collect();
    let is_other = |(id, fingerprint): &&(String, String)| {
        known.get(id).is_some_and(|known| known != fingerprint)
    };
    let others = keys.iter().filter(is_other);
    Ok(others.map(|(id, _)| id.clone()).collect())
}

/// Of these ids, those of keys that something was made with: invitations, pending or not, or what else a signing key makes.
///
/// # Errors
/// When the database is away.
pub fn keys_used_before(
    connection: &mut PgConnection,
    ids: &[String],
) -> Result<Vec<String>, DbError> {
    let signed = secret_keys::table
        .filter(secret_keys::id.eq_any(ids))
        .filter(secret_keys::has_signed)
        .select(secret_keys::id);
    let invited = invitations::table
        .filter(invitations::key_id.eq_any(ids))
        .select(invitations::key_id);
    Ok(signed.union(invited).load(connection)?)
}

/// Of these keys, the id of one behind which another key stood that has made something.
///
/// # Errors
/// When the database is away.
pub fn another_has_signed(
    connection: &mut PgConnection,
    keys: &[(String, String)],
) -> Result<Option<String>, DbError> {
    let signed = keys_that_signed(connection)?;
    Ok(other_keys(connection, keys, &signed)?.pop())
}

/// The ids of the keys that something was signed with.
///
/// # Errors
/// When the database is away.
pub fn keys_that_signed(connection: &mut PgConnection) -> Result<Vec<String>, DbError> {
    Ok(secret_keys::table
        .filter(secret_keys::has_signed)
        .select(secret_keys::id)
        .order(secret_keys::id)
        .load(connection)?)
}

/// Writes a key down that is about to sign, unless it is known.
///
/// # Errors
/// When the database is away.
pub fn introduce(
    connection: &mut PgConnection,
    (id, fingerprint): (&str, &str),
) -> Result<(), DbError> {
    let new = (
        secret_keys::id.eq(id),
        secret_keys::fingerprint.eq(fingerprint),
        secret_keys::has_signed.eq(true),
    );
    diesel::insert_into(secret_keys::table)
        .values(new)
        .on_conflict_do_nothing()
        .execute(connection)?;
    let same = secret_keys::table
        .filter(secret_keys::id.eq(id))
        .filter(secret_keys::fingerprint.eq(fingerprint));
    diesel::update(same)
        .set(secret_keys::has_signed.eq(true))
        .execute(connection)?;
    Ok(())
}

/// Writes down which key stands behind each id, and that the first one signs.
///
/// # Errors
/// When the database is away.
pub fn identify_keys(
    connection: &mut PgConnection,
    keys: &[(String, String)],
) -> Result<(), DbError> {
    for (id, fingerprint) in keys {
        diesel::insert_into(secret_keys::table)
            .values((
                secret_keys::id.eq(id),
                secret_keys::fingerprint.eq(fingerprint),
            ))
            .on_conflict(secret_keys::id)
            .do_update()
            .set(secret_keys::fingerprint.eq(fingerprint))
            .execute(connection)?;
    }
    let signing = keys.iter().take(1).map(|(id, _)| id);
    diesel::update(secret_keys::table.filter(secret_keys::id.eq_any(signing)))
        .set(secret_keys::has_signed.eq(true))
        .execute(connection)?;
    Ok(())
}
