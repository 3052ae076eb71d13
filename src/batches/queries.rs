//! Batches in the database: what was sent with one request, and how far it got.

use chrono::{DateTime, Utc};
use diesel::{
    pg::Pg,
    prelude::*,
    sql_types::{BigInt, Bool, Int2, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use serde::Serialize;
use uuid::Uuid;

use super::domain::{Batch, BatchCounts, BatchState, Waiting};
use crate::{
    db::{DbError, text_enum::text_enum},
    invitations::{
        plan::SkipReason,
        send::{BatchResult, SendOutcome},
    },
    model::{invitation::MessageState, said::masked},
    outbox::depth::LATE_AFTER,
    schema::{batches, messages},
};

text_enum!(SkipReason);

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

#[derive(Queryable, Selectable)]
#[diesel(table_name = batches, check_for_backend(Pg))]
struct BatchRow {
    created_at: DateTime<Utc>,
    created_by: String,
    recipient_count: i32,
    skipped_count: i32,
    canceled_at: Option<DateTime<Utc>>,
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
    let found: Option<BatchRow> = batches::table
        .find(id)
        .select(BatchRow::as_select())
        .first(connection)
        .optional()?;
    let Some(row) = found else {
        return Ok(None);
    };
    let mut counts = BatchCounts {
        recipients: row.recipient_count.into(),
        skipped: row.skipped_count.into(),
        ..BatchCounts::default()
    };
    let by_state: Vec<(MessageState, i64)> = messages::table
        .filter(messages::batch_id.eq(id))
        .group_by(messages::state)
        .select((messages::state, diesel::dsl::count_star()))
        .load(connection)?;
    for (state, number) in by_state {
        match state {
            MessageState::Queued | MessageState::Sending => counts.queued += number,
            MessageState::Accepted => counts.accepted += number,
            MessageState::Deferred => counts.deferred += number,
            MessageState::Failed => counts.failed += number,
            MessageState::Bounced => counts.bounced += number,
            MessageState::Suppressed => counts.suppressed += number,
        }
    }
    let state = if row.canceled_at.is_some() {
        BatchState::Canceled
    } else if counts.queued + counts.deferred > 0 {
        BatchState::Sending
    } else {
        BatchState::Done
    };
    // No message of it is older than the batch.
    let may_be_late = counts.queued + counts.deferred > 0 && row.created_at < now - LATE_AFTER;
    let waiting = if may_be_late {
        waiting(connection, id, now - LATE_AFTER)?
    } else {
        None
    };
    Ok(Some(Batch {
        id,
        state,
        counts,
        created_at: row.created_at,
        created_by: row.created_by,
        canceled_at: row.canceled_at,
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
    let row: WaitingRow = diesel::sql_query(include_str!("sql/waiting.sql"))
        .bind::<SqlUuid, _>(batch)
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
    #[diesel(sql_type = SqlUuid)]
    sort_id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    user_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    invitation_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    reason: Option<SkipReason>,
}

/// What happened to a recipient, and where it stands in the list.
#[derive(Serialize)]
pub struct ResultRow {
    #[serde(skip)]
    pub sort_id: Uuid,
    #[serde(flatten)]
    result: BatchResult,
}

impl From<Row> for ResultRow {
    fn from(row: Row) -> Self {
        let outcome = match row.reason {
            Some(_) => SendOutcome::Skipped,
            None => SendOutcome::Created,
        };
        Self {
            sort_id: row.sort_id,
            result: BatchResult {
                user_id: row.user_id,
                outcome,
                invitation_id: row.invitation_id,
                reason: row.reason,
            },
        }
    }
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
    let rows: Vec<Row> = diesel::sql_query(include_str!("sql/results.sql"))
        .bind::<SqlUuid, _>(batch)
        .bind::<Bool, _>(in_skips)
        .bind::<SqlUuid, _>(after)
        .bind::<BigInt, _>(limit)
        .load(connection)?;
    Ok(rows.into_iter().map(ResultRow::from).collect())
}
