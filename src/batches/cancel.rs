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
    let stopped = diesel::sql_query(include_str!("sql/stop.sql"))
        .bind::<SqlUuid, _>(id)
        .bind::<Timestamptz, _>(now)
        .execute(connection)?;
    Ok(stopped == 1)
}
