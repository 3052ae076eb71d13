//! Operators' sessions in the database.

use chrono::{DateTime, Utc};
use diesel::{pg::Pg, prelude::*};
use secrecy::SecretString;
use uuid::Uuid;

use super::{
    domain::{IDLE, LONGEST},
    tokens::{self, Kind, StoredHash, TokenHash},
};
use crate::{
    db::DbError,
    model::caller::Role,
    schema::{operators, sessions},
};

/// A session as a request finds it.
#[derive(Debug, Clone, Queryable, Selectable)]
#[diesel(table_name = sessions, check_for_backend(Pg))]
pub struct SessionRecord {
    pub id: Uuid,
    #[diesel(select_expression = operators::id)]
    pub operator: Uuid,
    #[diesel(select_expression = operators::email)]
    pub email: String,
    #[diesel(select_expression = operators::role)]
    pub role: Role,
    #[diesel(column_name = token_hash, deserialize_as = StoredHash)]
    pub hash: TokenHash,
    pub created_at: DateTime<Utc>,
    pub last_seen_at: DateTime<Utc>,
    pub expires_at: DateTime<Utc>,
}

impl SessionRecord {
    /// From when on it is refused, if it is not used meanwhile.
    pub fn ends_at(&self) -> DateTime<Utc> {
        self.expires_at.min(self.last_seen_at + IDLE)
    }
}

/// The session with this token, of an operator who may sign in.
///
/// # Errors
/// When the database cannot be asked.
pub fn find(
    connection: &mut PgConnection,
    hash: &TokenHash,
) -> Result<Option<SessionRecord>, DbError> {
    Ok(sessions::table
        .inner_join(operators::table)
        .filter(sessions::token_hash.eq(hash.as_slice()))
        .filter(operators::enabled)
        .select(SessionRecord::as_select())
        .first(connection)
        .optional()?)
}

/// Begins a session. Gives its token, which is shown once, and when it ends at the latest.
///
/// # Errors
/// When the database or the operating system's randomness is away.
pub fn create(
    connection: &mut PgConnection,
    id: Uuid,
    operator: Uuid,
    now: DateTime<Utc>,
) -> Result<(SecretString, DateTime<Utc>), DbError> {
    let (token, hash) = tokens::make(Kind::Session)?;
    let expires_at = now + LONGEST;
    diesel::insert_into(sessions::table)
        .values((
            sessions::id.eq(id),
            sessions::operator_id.eq(operator),
            sessions::token_hash.eq(hash.as_slice()),
            sessions::created_at.eq(now),
            sessions::last_seen_at.eq(now),
            sessions::expires_at.eq(expires_at),
        ))
        .execute(connection)?;
    Ok((token, expires_at))
}

/// When a session began, and when it ends at the latest.
pub type Times = (DateTime<Utc>, DateTime<Utc>);

/// The times of a session.
///
/// # Errors
/// When the database is away.
pub fn times(connection: &mut PgConnection, id: Uuid) -> Result<Option<Times>, DbError> {
    Ok(sessions::table
        .find(id)
        .select((sessions::created_at, sessions::expires_at))
        .first(connection)
        .optional()?)
}

/// Notes that a session was used, to the minute.
///
/// # Errors
/// When the database is away.
pub fn note_use(
    connection: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::update(sessions::table.find(id))
        .set(sessions::last_seen_at.eq(now))
        .execute(connection)?;
    Ok(())
}

/// Ends a session.
///
/// # Errors
/// When the database is away.
pub fn end(connection: &mut PgConnection, id: Uuid) -> Result<(), DbError> {
    diesel::delete(sessions::table.find(id)).execute(connection)?;
    Ok(())
}

/// Ends all sessions of an operator, but for `kept`. Gives how many.
///
/// # Errors
/// When the database is away.
pub fn end_all(
    connection: &mut PgConnection,
    operator: Uuid,
    kept: Option<Uuid>,
) -> Result<usize, DbError> {
    let ended = sessions::table
        .filter(sessions::operator_id.eq(operator))
        .filter(sessions::id.ne(kept.unwrap_or_default()));
    Ok(diesel::delete(ended).execute(connection)?)
}

/// Forgets sessions that are over.
///
/// # Errors
/// When the database is away.
pub fn forget_old(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<usize, DbError> {
    let over = sessions::table.filter(
        sessions::expires_at
            .le(now)
            .or(sessions::last_seen_at.le(now - IDLE)),
    );
    Ok(diesel::delete(over).execute(connection)?)
}
