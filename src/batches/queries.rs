//! Batches in the database: what was sent with one request, and how far it got.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Nullable, Text},
};
use serde::Serialize;
use uuid::Uuid;

use super::domain::{Batch, BatchCounts, BatchState};
use crate::{
    db::{DbError, stored},
    invitations::{
        plan::SkipReason,
        send::{BatchResult, SendOutcome},
    },
    model::invitation::MessageState,
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
pub fn get(connection: &mut PgConnection, id: Uuid) -> Result<Option<Batch>, DbError> {
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
    Ok(Some(Batch {
        id,
        state,
        counts,
        created_at,
        created_by,
        canceled_at,
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
