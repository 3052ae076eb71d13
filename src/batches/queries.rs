//! Batches in the database: what was sent with one request, and how far it got.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Int2, Nullable, Text, Timestamptz},
};
use serde::Serialize;
use uuid::Uuid;

use super::domain::{Batch, BatchCounts, BatchState, Waiting};
use crate::{
    db::{DbError, stored},
    invitations::{
        plan::SkipReason,
        send::{BatchResult, SendOutcome},
    },
    model::{invitation::MessageState, said::masked},
    outbox::depth::LATE_AFTER,
    schema::{batches, messages},
};

/// How many recipients a batch was for; `None`: there is no such batch.
///
/// # Errors
/// When the database is away.
pub fn recipients(connection: &mut PgConnection, id: Uuid) -> Result<Option<i64>, DbError> {
    let number: Option<i32> = batches::table
        .find(id)
        .select(batches::recipient_count)
        .first(connection)
        .optional()?;
    Ok(number.map(i64::from))
}

/// One batch, counted now.
///
/// # Errors
/// When the database is away.
pub fn get(
    connection: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<Batch>, DbError> {
    type Row = (DateTime<Utc>, String, i32, i32, Option<DateTime<Utc>>);
    let found: Option<Row> = batches::table
        .find(id)
        .select((
            batches::created_at,
            batches::created_by,
            batches::recipient_count,
            batches::skipped_count,
            batches::canceled_at,
        ))
        .first(connection)
        .optional()?;
    let Some((created_at, created_by, recipients, skipped, canceled_at)) = found else {
        return Ok(None);
    };
    let mut counts = BatchCounts {
        recipients: recipients.into(),
        skipped: skipped.into(),
        ..BatchCounts::default()
    };
    let by_state: Vec<(String, i64)> = messages::table
        .filter(messages::batch_id.eq(id))
        .group_by(messages::state)
        .select((messages::state, diesel::dsl::count_star()))
        .load(connection)?;
    for (state, number) in by_state {
        match stored(&state, MessageState::from_name)? {
            MessageState::Queued | MessageState::Sending => counts.queued += number,
            MessageState::Accepted => counts.accepted += number,
            MessageState::Deferred => counts.deferred += number,
            MessageState::Failed => counts.failed += number,
            MessageState::Bounced => counts.bounced += number,
            MessageState::Suppressed => counts.suppressed += number,
        }
    }
    let state = if canceled_at.is_some() {
        BatchState::Canceled
    } else if counts.queued + counts.deferred > 0 {
        BatchState::Sending
    } else {
        BatchState::Done
    };
    // No message of it is older than the batch.
    let may_be_late = counts.queued + counts.deferred > 0 && created_at < now - LATE_AFTER;
    let waiting = if may_be_late {
        waiting(connection, id, now - LATE_AFTER)?
    } else {
        None
    };
    Ok(Some(Batch {
        id,
        state,
        counts,
        created_at,
        created_by,
        canceled_at,
        waiting,
    }))
}

#[derive(QueryableByName)]
struct WaitingRow {
    #[diesel(sql_type = BigInt)]
    messages: i64,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    since: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Int2>)]
    smtp_code: Option<i16>,
    #[diesel(sql_type = Nullable<Text>)]
    enhanced_status: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
}

/// What was queued before a time and is still to be sent. Whoever claims messages notes one time for all of them, so the
/// newest words are found without sorting.
fn waiting(
    connection: &mut PgConnection,
    batch: Uuid,
    before: DateTime<Utc>,
) -> Result<Option<Waiting>, DbError> {
    let row: WaitingRow = diesel::sql_query(
        "SELECT late.messages, late.since, said.smtp_code, said.enhanced_status, said.reason
         FROM (
            SELECT count(*) AS messages, min(created_at) AS since,
                max(last_attempt_at) FILTER (WHERE reason IS NOT NULL OR smtp_code IS NOT NULL) AS said_at
            FROM messages
            WHERE batch_id = $1 AND state IN ('queued', 'sending', 'deferred') AND created_at < $2
         ) late
         LEFT JOIN LATERAL (
            SELECT smtp_code, enhanced_status, reason FROM messages
            WHERE batch_id = $1 AND state IN ('queued', 'sending', 'deferred') AND created_at < $2
                AND last_attempt_at = late.said_at AND (reason IS NOT NULL OR smtp_code IS NOT NULL)
            LIMIT 1
         ) said ON true",
    )
    .bind::<diesel::sql_types::Uuid, _>(batch)
    .bind::<Timestamptz, _>(before)
    .get_result(connection)?;
    Ok(row.since.map(|since| Waiting {
        messages: row.messages,
        since,
        smtp_code: row.smtp_code,
        enhanced_status: row.enhanced_status,
        // What was stored before words were masked may not be rewritten yet.
        reason: row.reason.as_deref().map(masked),
    }))
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    sort_id: Uuid,
    #[diesel(sql_type = Nullable<diesel::sql_types::Uuid>)]
    user_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<diesel::sql_types::Uuid>)]
    invitation_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<String>,
}

/// What happened to a recipient, and where it stands in the list.
#[derive(Serialize)]
pub struct ResultRow {
    #[serde(skip)]
    pub sort_id: Uuid,
    #[serde(flatten)]
    result: BatchResult,
}

impl ResultRow {
    /// Whether the recipient was not invited.
    pub fn is_skipped(&self) -> bool {
        self.result.outcome == SendOutcome::Skipped
    }
}

/// One page of what happened to a batch's recipients, and one row more:
/// the invitations in the order in which they were made, then who was skipped.
///
/// # Errors
/// When the database is away.
pub fn results(
    connection: &mut PgConnection,
    batch: Uuid,
    after: Option<(bool, Uuid)>,
    limit: i64,
) -> Result<Vec<ResultRow>, DbError> {
    let (in_skips, after) = after.unwrap_or((false, Uuid::nil()));
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT * FROM (
         (SELECT id AS sort_id, user_id, id AS invitation_id, NULL::text AS reason FROM invitations
          WHERE batch_id = $1 AND NOT $2 AND id > $3 ORDER BY id LIMIT $4)
         UNION ALL
         (SELECT user_id, user_id, NULL, reason FROM batch_skips
          WHERE batch_id = $1 AND (NOT $2 OR user_id > $3) ORDER BY user_id LIMIT $4)) page
         ORDER BY reason IS NOT NULL, sort_id LIMIT $4",
    )
    .bind::<diesel::sql_types::Uuid, _>(batch)
    .bind::<diesel::sql_types::Bool, _>(in_skips)
    .bind::<diesel::sql_types::Uuid, _>(after)
    .bind::<BigInt, _>(limit)
    .load(connection)?;
    rows.into_iter()
        .map(|row| {
            let reason = row
                .reason
                .map(|reason| stored(&reason, SkipReason::from_name))
                .transpose()?;
            let outcome = if reason.is_some() {
                SendOutcome::Skipped
            } else {
                SendOutcome::Created
            };
            let result = BatchResult {
                user_id: row.user_id,
                outcome,
                invitation_id: row.invitation_id,
                reason,
            };
            Ok(ResultRow {
                sort_id: row.sort_id,
                result,
            })
        })
        .collect()
}
