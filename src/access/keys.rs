//! API keys in the database.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{pg::Pg, prelude::*};
use secrecy::SecretString;
use serde_json::json;
use uuid::Uuid;

use super::{
    domain::{ApiKey, KeyName},
    tokens::{self, Kind, StoredHash, TokenHash},
};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    db::DbError,
    http::paging::Position,
    model::caller::Role,
    schema::api_keys,
};

/// That a key was used is written down this often at most.
pub const SEEN_EVERY: TimeDelta = TimeDelta::minutes(1);
/// That one was tried after its end, this often.
const TOLD_EVERY: TimeDelta = TimeDelta::hours(1);

/// A key as a request finds it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = api_keys, check_for_backend(Pg))]
pub struct KeyRecord {
    pub id: Uuid,
    pub name: String,
    pub role: Role,
    #[diesel(column_name = key_hash, deserialize_as = StoredHash)]
    pub hash: TokenHash,
    /// From when on it is refused.
    pub expires_at: Option<DateTime<Utc>>,
    pub last_used_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    /// When it was last written down that it was tried after its end.
    pub used_after_end_at: Option<DateTime<Utc>>,
}

impl KeyRecord {
    /// How it ended, if it did.
    pub fn ended(&self, now: DateTime<Utc>) -> Option<&'static str> {
        if self.revoked_at.is_some() {
            Some("revoked")
        } else {
            let is_over = self.expires_at.is_some_and(|end| end <= now);
            is_over.then_some("expired")
        }
    }

    /// Whether it was not written down lately that it is tried after its end.
    pub fn is_end_to_be_told(&self, now: DateTime<Utc>) -> bool {
        self.used_after_end_at
            .is_none_or(|told| now - told >= TOLD_EVERY)
    }
}

/// The key with this hash, whether or not it still works.
///
/// # Errors
/// When the database cannot be asked.
pub fn find(connection: &mut PgConnection, hash: &TokenHash) -> Result<Option<KeyRecord>, DbError> {
    Ok(api_keys::table
        .filter(api_keys::key_hash.eq(hash.as_slice()))
        .select(KeyRecord::as_select())
        .first(connection)
        .optional()?)
}

/// Writes down that a key was tried after its end: once an hour, whichever instance it was tried at.
///
/// # Errors
/// When the database is away.
pub fn tell_of_end(
    connection: &mut PgConnection,
    trail: &Trail,
    key: &KeyRecord,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let is_due = api_keys::used_after_end_at
        .is_null()
        .or(api_keys::used_after_end_at.le(now - TOLD_EVERY));
    let told = diesel::update(api_keys::table.find(key.id).filter(is_due))
        .set(api_keys::used_after_end_at.eq(now))
        .execute(connection)?;
    if told == 0 {
        return Ok(());
    }
    let event = Event::new(Action::ApiKeyUsedAfterEnd, SubjectKind::ApiKey, key.id);
    let about = json!({"name": key.name, "ended": key.ended(now)});
    trail.record(connection, &event.after(&about))
}

/// Notes that a key was used, to the minute.
///
/// # Errors
/// When the database is away.
pub fn note_use(
    connection: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::update(api_keys::table.find(id))
        .set(api_keys::last_used_at.eq(now))
        .execute(connection)?;
    Ok(())
}

/// Makes a key. It is shown once, here; the database only learns its hash.
///
/// # Errors
/// When the database or the operating system's randomness is away.
pub fn create(
    connection: &mut PgConnection,
    id: Uuid,
    name: &str,
    role: Role,
    expires_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<SecretString, DbError> {
    let (key, hash) = tokens::make(Kind::Key)?;
    diesel::insert_into(api_keys::table)
        .values((
            api_keys::id.eq(id),
            api_keys::name.eq(name),
            api_keys::role.eq(role),
            api_keys::key_hash.eq(hash.as_slice()),
            api_keys::created_at.eq(now),
            api_keys::expires_at.eq(expires_at),
        ))
        .execute(connection)?;
    Ok(key)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = api_keys, check_for_backend(Pg))]
struct Row {
    id: Uuid,
    name: String,
    role: Role,
    created_at: DateTime<Utc>,
    expires_at: Option<DateTime<Utc>>,
    last_used_at: Option<DateTime<Utc>>,
}

impl From<Row> for ApiKey {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            name: row.name,
            role: row.role,
            created_at: row.created_at,
            expires_at: row.expires_at,
            last_used_at: row.last_used_at,
        }
    }
}

/// Those that are not revoked.
fn kept<'a>() -> api_keys::BoxedQuery<'a, Pg> {
    api_keys::table
        .filter(api_keys::revoked_at.is_null())
        .into_boxed()
}

/// One page of the keys that are not revoked, the oldest first, and one row more.
///
/// # Errors
/// When the database is away.
pub fn list(
    connection: &mut PgConnection,
    after: Option<&Position>,
    limit: i64,
) -> Result<Vec<ApiKey>, DbError> {
    let mut query = kept().select(Row::as_select());
    if let Some(position) = after {
        query = query.filter(api_keys::id.gt(position.id));
    }
    let rows: Vec<Row> = query.order(api_keys::id).limit(limit).load(connection)?;
    Ok(rows.into_iter().map(ApiKey::from).collect())
}

/// How many there are.
///
/// # Errors
/// When the database is away.
pub fn count(connection: &mut PgConnection) -> Result<i64, DbError> {
    Ok(kept().count().get_result(connection)?)
}

/// One key that is not revoked.
///
/// # Errors
/// When the database is away.
pub fn get(connection: &mut PgConnection, id: Uuid) -> Result<Option<ApiKey>, DbError> {
    let row: Option<Row> = api_keys::table
        .find(id)
        .filter(api_keys::revoked_at.is_null())
        .select(Row::as_select())
        .first(connection)
        .optional()?;
    Ok(row.map(ApiKey::from))
}

/// The same, held until the end of the transaction.
///
/// # Errors
/// When the database is away.
pub fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Option<ApiKey>, DbError> {
    let row: Option<Row> = api_keys::table
        .find(id)
        .filter(api_keys::revoked_at.is_null())
        .select(Row::as_select())
        .for_no_key_update()
        .first(connection)
        .optional()?;
    Ok(row.map(ApiKey::from))
}

/// Gives a key another name.
///
/// # Errors
/// When the database is away.
pub fn rename(connection: &mut PgConnection, id: Uuid, name: &KeyName) -> Result<(), DbError> {
    diesel::update(api_keys::table.find(id))
        .set(api_keys::name.eq(name.as_str()))
        .execute(connection)?;
    Ok(())
}

/// Ends a key for good; its row stays, for what it did.
///
/// # Errors
/// When the database is away.
pub fn revoke(connection: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> Result<(), DbError> {
    diesel::update(api_keys::table.find(id))
        .set(api_keys::revoked_at.eq(now))
        .execute(connection)?;
    Ok(())
}
