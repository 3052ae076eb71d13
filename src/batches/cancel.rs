//! Canceling a batch: what no server has accepted yet is not sent.

use chrono::{DateTime, Utc};
use diesel::{
    connection::SimpleConnection,
    prelude::*,
    sql_types::{Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::{domain::Batch, queries};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    db::{CUSTOM_PLAN, DbError},
    schema::batches,
};

/// What became of canceling a batch.
#[derive(Debug)]
pub enum Canceled {
    Now(Batch),
    Before(Batch),
    NotFound,
    /// Everything was accepted, or refused for good.
    NothingLeft,
}

/// Cancels a batch, in one statement however large it is. Runs inside a transaction.
///
/// Messages are locked before invitations, as where results are written, and both in the order of their ids. This
/// waits for a worker that is writing results at this moment; what it left to be tried again is found. What is on the
/// wire cannot be called back: it is marked, and whoever settles it sees the mark.
///
/// # Errors
/// When the database is away.
pub fn cancel(connection: &mut PgConnection, trail: &Trail, id: Uuid) -> Result<Canceled, DbError> {
    let canceled_at: Option<Option<DateTime<Utc>>> = batches::table
        .find(id)
        .select(batches::canceled_at)
        .for_no_key_update()
        .first(connection)
        .optional()?;
    let was_canceled = match canceled_at {
        None => return Ok(Canceled::NotFound),
        Some(at) => at.is_some(),
    };
    let now = trail.clock.now();
    let canceled_now = !was_canceled && stop(connection, id, now)?;
    let Some(batch) = queries::get(connection, id, now)? else {
        return Ok(Canceled::NotFound);
    };
    if canceled_now {
        let event = Event::new(Action::BatchCanceled, SubjectKind::Batch, id);
        trail.record(connection, &event)?;
    }
    Ok(match (was_canceled, canceled_now) {
        (true, _) => Canceled::Before(batch),
        (false, true) => Canceled::Now(batch),
        (false, false) => Canceled::NothingLeft,
    })
}

/// Gives whether there was anything to stop.
fn stop(connection: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> Result<bool, DbError> {
    connection.batch_execute(CUSTOM_PLAN)?;
    let stopped = diesel::sql_query(
        "WITH unsent AS (
            SELECT id FROM messages
            WHERE batch_id = $1 AND state NOT IN ('accepted', 'bounced', 'failed', 'suppressed')
            ORDER BY id FOR NO KEY UPDATE
        ), stopped AS (
            UPDATE messages m
            SET canceled = true,
                state = CASE WHEN m.state = 'sending' THEN 'sending' ELSE 'suppressed' END,
                reason = CASE WHEN m.state = 'sending' THEN m.reason ELSE 'canceled' END
            FROM unsent
            WHERE m.id = unsent.id AND m.state NOT IN ('accepted', 'bounced', 'failed', 'suppressed')
            RETURNING m.invitation_id, m.state
        ), pending AS (
            SELECT i.id FROM invitations i
            WHERE i.state = 'pending' AND i.id IN (SELECT invitation_id FROM stopped WHERE state = 'suppressed')
            ORDER BY i.id FOR NO KEY UPDATE
        ), revoked AS (
            UPDATE invitations i
            SET state = CASE WHEN i.expires_at <= $2 THEN 'expired' ELSE 'revoked' END, ended_at = least(i.expires_at, $2)
            FROM pending WHERE i.id = pending.id AND i.state = 'pending'
        )
        UPDATE batches SET canceled_at = $2 WHERE id = $1 AND EXISTS (SELECT FROM stopped)",
    )
    .bind::<SqlUuid, _>(id)
    .bind::<Timestamptz, _>(now)
    .execute(connection)?;
    Ok(stopped == 1)
}
