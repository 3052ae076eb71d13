//! How long the queue is, for whoever watches it.

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    connection::SimpleConnection,
    prelude::*,
    sql_types::{BigInt, Double, Timestamptz},
};

use crate::{db::DbError, metrics::Depth, model::invitation::MessageState};

/// A message that is still to be sent so long after it was queued is late.
pub const LATE_AFTER: TimeDelta = TimeDelta::hours(1);

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = BigInt)]
    queued: i64,
    #[diesel(sql_type = BigInt)]
    sending: i64,
    #[diesel(sql_type = BigInt)]
    deferred: i64,
    #[diesel(sql_type = BigInt)]
    late: i64,
    #[diesel(sql_type = Double)]
    overdue_seconds: f64,
    #[diesel(sql_type = Double)]
    oldest_seconds: f64,
}

/// Reads the index of what is still to be sent, however much was sent before. Runs inside a transaction.
///
/// # Errors
/// When the database is away, or the queue is so long that it takes two seconds.
pub fn look(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<Depth, DbError> {
    // However the tables were analyzed last: only that index holds no history.
    connection
        .batch_execute("SET LOCAL statement_timeout = '2s'; SET LOCAL enable_seqscan = off")?;
    let row: Row = diesel::sql_query(include_str!("sql/depth.sql"))
        .bind::<Timestamptz, _>(now)
        .bind::<Timestamptz, _>(now - LATE_AFTER)
        .get_result(connection)?;
    Ok(Depth {
        by_state: [
            (MessageState::Queued.as_str(), row.queued),
            (MessageState::Sending.as_str(), row.sending),
            (MessageState::Deferred.as_str(), row.deferred),
        ],
        late: row.late,
        overdue_seconds: row.overdue_seconds,
        oldest_seconds: row.oldest_seconds,
    })
}
