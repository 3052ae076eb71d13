//! The outbox in the database: claim, keep, settle, give back.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    connection::SimpleConnection,
    prelude::*,
    sql_types::{Array, BigInt, Int2, Int4, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use crate::db::{CUSTOM_PLAN, DbError};

/// A message that this instance holds until `lease`, with all that it takes to send it.
#[derive(Debug, Clone, QueryableByName)]
pub struct Claimed {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    /// Also the fencing token: a result counts only while the message has this number.
    #[diesel(sql_type = Int4)]
    pub attempts: i32,
    #[diesel(sql_type = Timestamptz)]
    pub queued_at: DateTime<Utc>,
    #[diesel(sql_type = SqlUuid)]
    pub invitation_id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    pub batch_id: Uuid,
    #[diesel(sql_type = Text)]
    pub invitation_state: String,
    #[diesel(sql_type = Text)]
    pub method: String,
    #[diesel(sql_type = Text)]
    pub locale: String,
    #[diesel(sql_type = Text)]
    pub key_id: String,
    #[diesel(sql_type = Int4)]
    pub counter: i32,
    #[diesel(sql_type = Int2)]
    pub pin_length: i16,
    #[diesel(sql_type = Int2)]
    pub pin_lifetime_days: i16,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub pin_issued_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    pub expires_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Text>)]
    pub note: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub display_name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub username: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub email: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub time_zone: Option<String>,
}

/// Claims up to `limit` messages that are due, also those whose lease has ended: their instance is
/// gone. Each is ours until `lease_until`.
///
/// # Errors
/// When the database is away.
pub fn claim(
    connection: &mut PgConnection,
    limit: usize,
    now: DateTime<Utc>,
    lease_until: DateTime<Utc>,
) -> Result<Vec<Claimed>, DbError> {
    // A generic plan cannot know how few these are, and would read the whole table.
    connection.batch_execute(CUSTOM_PLAN)?;
    Ok(diesel::sql_query(
        "WITH due AS (
            SELECT id FROM messages
            WHERE state IN ('queued', 'sending', 'deferred') AND due_at <= $1
            ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
        ), claimed AS (
            UPDATE messages m
            SET state = 'sending', attempts = m.attempts + 1, due_at = $2, last_attempt_at = $1
            FROM due WHERE m.id = due.id
            RETURNING m.id, m.attempts, m.created_at, m.invitation_id, m.batch_id
        )
        SELECT c.id, c.attempts, c.created_at AS queued_at, c.invitation_id, c.batch_id,
            i.state AS invitation_state, i.method, i.locale, i.key_id, i.counter, i.pin_length, i.pin_lifetime_days,
            i.pin_issued_at, i.expires_at, b.note, u.display_name, u.username, u.email, u.time_zone
        FROM claimed c
        JOIN invitations i ON i.id = c.invitation_id
        JOIN batches b ON b.id = i.batch_id
        LEFT JOIN users u ON u.id = i.user_id",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<Timestamptz, _>(lease_until)
    .bind::<BigInt, _>(i64::try_from(limit).unwrap_or(i64::MAX))
    .load(connection)?)
}

#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    state: String,
}

/// Keeps messages that are still being worked on. Gives those that are still ours, each with the
/// state that its invitation has now.
///
/// # Errors
/// When the database is away.
pub fn renew(
    connection: &mut PgConnection,
    held: &[(Uuid, i32)],
    lease_until: DateTime<Utc>,
) -> Result<HashMap<Uuid, String>, DbError> {
    let (ids, attempts): (Vec<Uuid>, Vec<i32>) = held.iter().copied().unzip();
    let kept: Vec<Kept> = diesel::sql_query(
        "UPDATE messages m SET due_at = $3
         FROM unnest($1, $2) AS h(id, attempts), invitations i
         WHERE m.id = h.id AND m.attempts = h.attempts AND m.state = 'sending' AND i.id = m.invitation_id
         RETURNING m.id, i.state",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<Int4>, _>(attempts)
    .bind::<Timestamptz, _>(lease_until)
    .load(connection)?;
    Ok(kept.into_iter().map(|kept| (kept.id, kept.state)).collect())
}

/// Gives back messages that were claimed and never tried: the try does not count.
///
/// # Errors
/// When the database is away.
pub fn give_back(
    connection: &mut PgConnection,
    held: &[(Uuid, i32)],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let (ids, attempts): (Vec<Uuid>, Vec<i32>) = held.iter().copied().unzip();
    diesel::sql_query(
        "UPDATE messages m
         SET due_at = $3, attempts = m.attempts - 1,
             state = CASE WHEN m.attempts > 1 THEN 'deferred' ELSE 'queued' END
         FROM unnest($1, $2) AS h(id, attempts)
         WHERE m.id = h.id AND m.attempts = h.attempts AND m.state = 'sending'",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<Int4>, _>(attempts)
    .bind::<Timestamptz, _>(now)
    .execute(connection)?;
    Ok(())
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    pub id: Uuid,
    pub attempts: i32,
    pub invitation_id: Uuid,
    /// `accepted`, `deferred`, `failed` or `suppressed`.
    pub state: &'static str,
    /// When to try again, if `deferred`.
    pub due_at: DateTime<Utc>,
    pub smtp_code: Option<i16>,
    pub enhanced_status: Option<String>,
    pub reason: Option<String>,
    /// When a server had, or may have had, the whole message: the PIN's life begins.
    pub handed_over_at: Option<DateTime<Utc>>,
}

/// Writes how tries ended, many at once. A result of somebody whose lease had ended is not taken. A
/// PIN whose life was over before anybody accepted its mail begins a new one: dead PINs are not sent.
///
/// # Errors
/// When the database is away.
pub fn settle(connection: &mut PgConnection, results: &[Settled]) -> Result<(), DbError> {
    diesel::sql_query(
        "WITH result AS (
            SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)
                AS r(id, attempts, invitation_id, state, due_at, smtp_code, enhanced_status, reason, handed_over_at)
        ), settled AS (
            UPDATE messages m
            SET state = r.state, due_at = r.due_at, smtp_code = r.smtp_code,
                enhanced_status = r.enhanced_status, reason = r.reason
            FROM result r
            WHERE m.id = r.id AND m.attempts = r.attempts AND m.state = 'sending'
            RETURNING r.invitation_id, r.handed_over_at, r.state
        )
        UPDATE invitations i
        SET pin_issued_at = CASE
                WHEN i.pin_issued_at + i.pin_lifetime_days * interval '1 day' > s.handed_over_at THEN i.pin_issued_at
                ELSE s.handed_over_at
            END,
            last_sent_at = CASE WHEN s.state = 'accepted' THEN s.handed_over_at ELSE i.last_sent_at END
        FROM settled s WHERE i.id = s.invitation_id AND s.handed_over_at IS NOT NULL",
    )
    .bind::<Array<SqlUuid>, _>(results.iter().map(|r| r.id).collect::<Vec<_>>())
    .bind::<Array<Int4>, _>(results.iter().map(|r| r.attempts).collect::<Vec<_>>())
    .bind::<Array<SqlUuid>, _>(results.iter().map(|r| r.invitation_id).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(results.iter().map(|r| r.state).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(results.iter().map(|r| r.due_at).collect::<Vec<_>>())
    .bind::<Array<Nullable<Int2>>, _>(results.iter().map(|r| r.smtp_code).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(results.iter().map(|r| r.enhanced_status.clone()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(results.iter().map(|r| r.reason.clone()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(results.iter().map(|r| r.handed_over_at).collect::<Vec<_>>())
    .execute(connection)?;
    Ok(())
}
