//! The outbox in the database: claim, keep, settle, give back.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use diesel::{
    connection::SimpleConnection,
    prelude::*,
    sql_types::{Array, BigInt, Bool, Int2, Int4, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::{
    message::{About, Claimed, Enrolled, Invited},
    registrations::Registrations,
};
use crate::db::{CUSTOM_PLAN, DbError};

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Int4)]
    attempts: i32,
    #[diesel(sql_type = Int2)]
    refusals: i16,
    #[diesel(sql_type = Timestamptz)]
    queued_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Text>)]
    display_name: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    username: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    email: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    time_zone: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    locale: Option<String>,
    #[diesel(sql_type = Bool)]
    is_suppressed: bool,
    #[diesel(embed)]
    invitation: InvitationRow,
    #[diesel(embed)]
    enrollment: EnrollmentRow,
}

#[derive(QueryableByName)]
struct InvitationRow {
    #[diesel(sql_type = Nullable<SqlUuid>)]
    invitation_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    batch_id: Option<Uuid>,
    #[diesel(sql_type = Bool)]
    is_reminder: bool,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    reminds_of: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    invitation_state: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    method: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    key_id: Option<String>,
    #[diesel(sql_type = Nullable<Int4>)]
    counter: Option<i32>,
    #[diesel(sql_type = Nullable<Int2>)]
    pin_length: Option<i16>,
    #[diesel(sql_type = Nullable<Int2>)]
    pin_lifetime_days: Option<i16>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pin_issued_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    expires_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    note: Option<String>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    registration_id: Option<Uuid>,
}

#[derive(QueryableByName)]
struct EnrollmentRow {
    #[diesel(sql_type = Nullable<SqlUuid>)]
    enrollment_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    enrolled_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Text>)]
    ownership: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    platform: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    model: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    number: Option<String>,
}

impl Row {
    fn claimed(self) -> Result<Claimed, DbError> {
        let about = self
            .enrollment
            .about()
            .or_else(|| self.invitation.about())
            .ok_or_else(|| DbError::Stored(format!("message {}", self.id)))?;
        Ok(Claimed {
            id: self.id,
            attempts: self.attempts,
            refusals: self.refusals,
            queued_at: self.queued_at,
            display_name: self.display_name,
            username: self.username,
            email: self.email,
            time_zone: self.time_zone,
            locale: self.locale,
            is_suppressed: self.is_suppressed,
            about,
        })
    }
}

impl InvitationRow {
    fn about(self) -> Option<About> {
        Some(About::Invitation(Invited {
            invitation_id: self.invitation_id?,
            batch_id: self.batch_id,
            is_reminder: self.is_reminder,
            reminds_of: self.reminds_of,
            state: self.invitation_state?,
            method: self.method?,
            key_id: self.key_id?,
            counter: self.counter?,
            pin_length: self.pin_length?,
            pin_lifetime_days: self.pin_lifetime_days?,
            pin_issued_at: self.pin_issued_at,
            expires_at: self.expires_at?,
            note: self.note,
            registration_id: self.registration_id,
            registration: None,
        }))
    }
}

impl EnrollmentRow {
    fn about(self) -> Option<About> {
        Some(About::Enrollment(Enrolled {
            enrollment_id: self.enrollment_id?,
            enrolled_at: self.enrolled_at?,
            ownership: self.ownership?,
            platform: self.platform?,
            model: self.model,
            number: self.number?,
        }))
    }
}

/// Claims up to `limit` messages that are due, also those whose lease has ended: their instance is
/// gone. Each is ours until `lease_until`, and comes with the registration setting that it was sent with:
/// few for many messages, and read once.
///
/// # Errors
/// When the database is away.
pub fn claim(
    connection: &mut PgConnection,
    limit: usize,
    now: DateTime<Utc>,
    lease_until: DateTime<Utc>,
    registrations: &Registrations,
) -> Result<Vec<Claimed>, DbError> {
    // A generic plan cannot know how few these are, and would read the whole table.
    connection.batch_execute(&format!("{CUSTOM_PLAN}; SET LOCAL random_page_cost = 1.1"))?;
    let rows: Vec<Row> = diesel::sql_query(
        "WITH due AS (
            SELECT id FROM messages
            WHERE state IN ('queued', 'sending', 'deferred') AND due_at <= $1
            ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
        ), claimed AS (
            UPDATE messages m
            SET state = 'sending', attempts = m.attempts + 1, due_at = $2, last_attempt_at = $1
            FROM due WHERE m.id = due.id
            RETURNING m.id, m.attempts, m.refusals, m.created_at, m.invitation_id, m.enrollment_id, m.batch_id, m.kind, m.canceled
        )
        SELECT c.id, c.attempts, c.refusals, c.created_at AS queued_at,
            u.display_name, u.username, u.email, u.time_zone, coalesce(i.locale, u.locale) AS locale,
            EXISTS (SELECT FROM suppressions s WHERE s.email = lower(u.email)) AS is_suppressed,
            i.id AS invitation_id, c.batch_id, c.kind = 'reminder' AS is_reminder,
            CASE WHEN c.kind = 'reminder' THEN (
                SELECT r.id FROM messages r
                WHERE r.invitation_id = c.invitation_id AND r.kind = 'invitation' AND r.state = 'accepted'
                ORDER BY r.id DESC LIMIT 1
            ) END AS reminds_of,
            CASE WHEN c.canceled THEN 'canceled' ELSE i.state END AS invitation_state, i.method, i.key_id, i.counter, i.pin_length,
            i.pin_lifetime_days, i.pin_issued_at, i.expires_at, b.note, i.registration_id,
            e.id AS enrollment_id, e.enrolled_at, e.ownership, d.platform, d.model,
            coalesce(d.serial_number, d.device_id) AS number
        FROM claimed c
        LEFT JOIN invitations i ON i.id = c.invitation_id
        LEFT JOIN batches b ON b.id = i.batch_id
        LEFT JOIN enrollments e ON e.id = c.enrollment_id
        LEFT JOIN devices d ON d.id = e.device_id
        LEFT JOIN users u ON u.id = coalesce(e.user_id, i.user_id)",
    )
    .bind::<Timestamptz, _>(now)
    .bind::<Timestamptz, _>(lease_until)
    .bind::<BigInt, _>(i64::try_from(limit).unwrap_or(i64::MAX))
    .load(connection)?;
    let mut claimed: Vec<Claimed> = rows
        .into_iter()
        .map(Row::claimed)
        .collect::<Result<_, _>>()?;
    let versions = claimed.iter().filter_map(|claimed| match &claimed.about {
        About::Invitation(invited) => invited.registration_id,
        About::Enrollment(_) => None,
    });
    let versions: HashSet<Uuid> = versions.collect();
    let known = registrations.load(connection, versions)?;
    for claimed in &mut claimed {
        if let About::Invitation(invited) = &mut claimed.about {
            invited.registration = match invited.registration_id {
                Some(version) => known.get(&version).cloned(),
                None => Some(Registrations::first()),
            };
        }
    }
    Ok(claimed)
}

/// Locks those of the messages `$1` that are still ours by their attempts `$2`, in the order of their ids, so that two
/// that hold several of them wait for each other and not for ever. More columns of what joins them may be asked for.
macro_rules! ours {
    ($held:literal $(, $columns:literal)?) => {
        concat!(
            "ours AS (
                SELECT m.id", $(", ", $columns,)? " FROM ", $held, " h JOIN messages m ON m.id = h.id
                WHERE m.attempts = h.attempts AND m.state = 'sending'
                ORDER BY m.id FOR NO KEY UPDATE OF m
             )"
        )
    };
    () => {
        ours!("(SELECT * FROM unnest($1, $2) AS u(id, attempts))")
    };
}

#[derive(QueryableByName)]
struct Kept {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Nullable<Text>)]
    state: Option<String>,
}

/// Keeps messages that are still being worked on. Gives those that are still ours, each with the
/// state that its invitation has now (`canceled` once its batch was), if it is about one.
///
/// # Errors
/// When the database is away.
pub fn renew(
    connection: &mut PgConnection,
    held: &[(Uuid, i32)],
    lease_until: DateTime<Utc>,
) -> Result<HashMap<Uuid, Option<String>>, DbError> {
    let (ids, attempts): (Vec<Uuid>, Vec<i32>) = held.iter().copied().unzip();
    let kept: Vec<Kept> = diesel::sql_query(concat!(
        "WITH ",
        ours!(),
        " UPDATE messages m SET due_at = $3 FROM ours WHERE m.id = ours.id
         RETURNING m.id, CASE WHEN m.canceled THEN 'canceled' ELSE
            (SELECT i.state FROM invitations i WHERE i.id = m.invitation_id AND m.kind <> 'confirmation') END AS state"
    ))
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<Int4>, _>(attempts)
    .bind::<Timestamptz, _>(lease_until)
    .load(connection)?;
    Ok(kept.into_iter().map(|kept| (kept.id, kept.state)).collect())
}

/// Gives back messages that were claimed and never tried: the try does not count. Of a batch that was canceled
/// meanwhile they are not sent at all.
///
/// # Errors
/// When the database is away.
pub fn give_back(
    connection: &mut PgConnection,
    held: &[(Uuid, i32)],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let (ids, attempts): (Vec<Uuid>, Vec<i32>) = held.iter().copied().unzip();
    diesel::sql_query(concat!(
        "WITH ",
        ours!(),
        ", given AS (
            UPDATE messages m
            SET due_at = $3, attempts = m.attempts - 1,
                state = CASE WHEN m.canceled THEN 'suppressed' WHEN m.attempts > 1 THEN 'deferred' ELSE 'queued' END,
                reason = CASE WHEN m.canceled THEN 'canceled' ELSE m.reason END
            FROM ours WHERE m.id = ours.id
            RETURNING m.invitation_id, m.canceled
        ), ended AS (
            SELECT i.id FROM invitations i
            WHERE i.state = 'pending' AND i.id IN (SELECT invitation_id FROM given WHERE canceled)
            ORDER BY i.id FOR NO KEY UPDATE
        )
        UPDATE invitations i
        SET state = CASE WHEN i.expires_at <= $3 THEN 'expired' ELSE 'revoked' END, ended_at = least(i.expires_at, $3)
        FROM ended WHERE i.id = ended.id AND i.state = 'pending'"
    ))
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
    /// `accepted`, `deferred`, `failed` or `suppressed`.
    pub state: &'static str,
    /// When to try again, if `deferred`.
    pub due_at: DateTime<Utc>,
    pub smtp_code: Option<i16>,
    pub enhanced_status: Option<String>,
    pub reason: Option<String>,
    /// Whether the next wait is a longer one.
    pub is_refusal: bool,
    /// When a server had, or may have had, the whole message: the PIN's life begins.
    pub handed_over_at: Option<DateTime<Utc>>,
    /// The counter of the secrets in it: the life of another PIN does not begin with this mail.
    pub counter: Option<i32>,
}

/// Writes how tries ended, many at once. A result of somebody whose lease had ended is not taken.
///
/// A PIN whose life was over before anybody accepted its mail begins a new one: dead PINs are not sent. What no
/// server accepted of a batch that was canceled while it was being sent is not tried again, and its invitation is
/// revoked.
///
/// # Errors
/// When the database is away.
pub fn settle(
    connection: &mut PgConnection,
    results: &[Settled],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::sql_query(concat!(
        "WITH result AS (
            SELECT * FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $11)
                AS r(id, attempts, state, due_at, smtp_code, enhanced_status, reason, handed_over_at, counter, is_refusal)
        ), ",
        ours!("result", "h.state, h.due_at, h.smtp_code, h.enhanced_status, h.reason, h.handed_over_at, h.counter, h.is_refusal"),
        ", settled AS (
            UPDATE messages m
            SET state = CASE WHEN m.canceled AND r.state = 'deferred' THEN 'suppressed' ELSE r.state END,
                due_at = r.due_at, smtp_code = r.smtp_code, enhanced_status = r.enhanced_status,
                refusals = least(m.refusals + (r.is_refusal AND r.state = 'deferred')::int, 1000),
                reason = CASE WHEN m.canceled AND r.state = 'deferred' THEN 'canceled' ELSE r.reason END
            FROM ours r WHERE m.id = r.id
            RETURNING m.invitation_id, m.kind, m.state, m.canceled, r.handed_over_at, r.counter
        ), about AS (
            SELECT invitation_id, max(counter) AS counter, min(handed_over_at) AS handed_over_at,
                max(handed_over_at) FILTER (WHERE state = 'accepted') AS accepted_at,
                bool_or(canceled AND state <> 'accepted') AS canceled
            FROM settled WHERE kind <> 'confirmation' AND (canceled OR handed_over_at IS NOT NULL)
            GROUP BY invitation_id
        ), held AS (
            SELECT about.* FROM about JOIN invitations i ON i.id = about.invitation_id
            ORDER BY i.id FOR NO KEY UPDATE OF i
        )
        UPDATE invitations i
        SET pin_issued_at = CASE
                WHEN a.handed_over_at IS NULL OR a.counter <> i.counter
                    OR i.pin_issued_at + i.pin_lifetime_days * interval '1 day' > a.handed_over_at
                THEN i.pin_issued_at
                ELSE a.handed_over_at
            END,
            last_sent_at = coalesce(a.accepted_at, i.last_sent_at),
            state = CASE WHEN NOT a.canceled OR i.state <> 'pending' THEN i.state
                WHEN i.expires_at <= $10 THEN 'expired' ELSE 'revoked' END,
            ended_at = CASE WHEN a.canceled AND i.state = 'pending' THEN least(i.expires_at, $10) ELSE i.ended_at END
        FROM held a WHERE i.id = a.invitation_id"
    ))
    .bind::<Array<SqlUuid>, _>(results.iter().map(|r| r.id).collect::<Vec<_>>())
    .bind::<Array<Int4>, _>(results.iter().map(|r| r.attempts).collect::<Vec<_>>())
    .bind::<Array<Text>, _>(results.iter().map(|r| r.state).collect::<Vec<_>>())
    .bind::<Array<Timestamptz>, _>(results.iter().map(|r| r.due_at).collect::<Vec<_>>())
    .bind::<Array<Nullable<Int2>>, _>(results.iter().map(|r| r.smtp_code).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(results.iter().map(|r| r.enhanced_status.clone()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Text>>, _>(results.iter().map(|r| r.reason.clone()).collect::<Vec<_>>())
    .bind::<Array<Nullable<Timestamptz>>, _>(results.iter().map(|r| r.handed_over_at).collect::<Vec<_>>())
    .bind::<Array<Nullable<Int4>>, _>(results.iter().map(|r| r.counter).collect::<Vec<_>>())
    .bind::<Timestamptz, _>(now)
    .bind::<Array<Bool>, _>(results.iter().map(|r| r.is_refusal).collect::<Vec<_>>())
    .execute(connection)?;
    Ok(())
}
