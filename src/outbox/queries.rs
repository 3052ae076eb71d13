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
use crate::{
    db::{CUSTOM_PLAN, DbError},
    model::{
        device::Platform,
        invitation::{MessageState, Method, State},
        ownership::Ownership,
    },
};

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
    #[diesel(sql_type = Bool)]
    is_canceled: bool,
    #[diesel(sql_type = Nullable<Text>)]
    invitation_state: Option<State>,
    #[diesel(sql_type = Nullable<Text>)]
    method: Option<Method>,
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
    ownership: Option<Ownership>,
    #[diesel(sql_type = Nullable<Text>)]
    platform: Option<Platform>,
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
            is_canceled: self.is_canceled,
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
    let rows: Vec<Row> = diesel::sql_query(include_str!("sql/claim.sql"))
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

/// A message that is still ours, and how what it is about is now.
#[derive(Debug, Clone, PartialEq, Eq, QueryableByName)]
pub struct Kept {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    /// Its batch was canceled.
    #[diesel(sql_type = Bool)]
    pub is_canceled: bool,
    /// The state of its invitation, as it is stored, if it is about one.
    #[diesel(sql_type = Nullable<Text>)]
    pub state: Option<State>,
}

/// Keeps messages that are still being worked on. Gives those that are still ours, by their ids.
///
/// # Errors
/// When the database is away.
pub fn renew(
    connection: &mut PgConnection,
    held: &[(Uuid, i32)],
    lease_until: DateTime<Utc>,
) -> Result<HashMap<Uuid, Kept>, DbError> {
    let (ids, attempts): (Vec<Uuid>, Vec<i32>) = held.iter().copied().unzip();
    let kept: Vec<Kept> = diesel::sql_query(include_str!("sql/renew.sql"))
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Array<Int4>, _>(attempts)
        .bind::<Timestamptz, _>(lease_until)
        .load(connection)?;
    Ok(kept.into_iter().map(|kept| (kept.id, kept)).collect())
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
    diesel::sql_query(include_str!("sql/give_back.sql"))
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
    pub state: MessageState,
    /// When to try again, if it is deferred.
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
    diesel::sql_query(include_str!("sql/settle.sql"))
        .bind::<Array<SqlUuid>, _>(results.iter().map(|r| r.id).collect::<Vec<_>>())
        .bind::<Array<Int4>, _>(results.iter().map(|r| r.attempts).collect::<Vec<_>>())
        .bind::<Array<Text>, _>(results.iter().map(|r| r.state).collect::<Vec<_>>())
        .bind::<Array<Timestamptz>, _>(results.iter().map(|r| r.due_at).collect::<Vec<_>>())
        .bind::<Array<Nullable<Int2>>, _>(results.iter().map(|r| r.smtp_code).collect::<Vec<_>>())
        .bind::<Array<Nullable<Text>>, _>(
            results
                .iter()
                .map(|r| r.enhanced_status.clone())
                .collect::<Vec<_>>(),
        )
        .bind::<Array<Nullable<Text>>, _>(
            results.iter().map(|r| r.reason.clone()).collect::<Vec<_>>(),
        )
        .bind::<Array<Nullable<Timestamptz>>, _>(
            results.iter().map(|r| r.handed_over_at).collect::<Vec<_>>(),
        )
        .bind::<Array<Nullable<Int4>>, _>(results.iter().map(|r| r.counter).collect::<Vec<_>>())
        .bind::<Timestamptz, _>(now)
        .bind::<Array<Bool>, _>(results.iter().map(|r| r.is_refusal).collect::<Vec<_>>())
        .execute(connection)?;
    Ok(())
}
