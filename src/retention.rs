//! What is forgotten, and when. Answers to requests do not depend on it: who is invited, by what and with which outcome
//! stays true for everybody who is there.

use std::time::Duration;

use chrono::TimeDelta;
use diesel::{
    prelude::*,
    sql_types::{BigInt, Uuid as SqlUuid},
};
use uuid::Uuid;

use crate::{
    access::{known, sessions},
    clock::{Clock, first_id_at},
    db::{Db, DbError},
    enrollments,
    guessing::counter,
    http::idempotent,
    invitations,
    schema::{batches, invitations as invited},
};

/// Invitations whose time is over are marked this often.
const SWEEP_EVERY: Duration = Duration::from_secs(60);
/// What nobody asks for any more is forgotten every so many times.
const FORGET_EVERY: u32 = 10;
/// Messages that one statement looks at.
const AT_ONCE: i64 = 5_000;

/// How long things are kept after they came to be. `None`: for ever.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// What mail servers said about messages; it can hold addresses.
    pub messages: Option<TimeDelta>,
    /// Batches with their invitations and messages, once they say nothing about how things are now.
    pub invitations: Option<TimeDelta>,
    /// Audit events ([`forgetting`](crate::audit::forgetting)).
    pub audit: Option<TimeDelta>,
}

/// Keeps what is looked through small, until it is dropped.
pub async fn run(db: Db, clock: Clock, keep: Keep) {
    let mut rounds: u32 = 0;
    loop {
        tokio::time::sleep(SWEEP_EVERY).await;
        if let Err(error) = sweep(&db, &clock).await {
            tracing::warn!(%error, "invitations that are over cannot be marked");
        }
        rounds = rounds.wrapping_add(1);
        if rounds.is_multiple_of(FORGET_EVERY)
            && let Err(error) = forget(&db, &clock, keep).await
        {
            tracing::warn!(%error, "what is old cannot be forgotten");
        }
    }
}

/// Marks all invitations whose time is over, a bounded number in each transaction.
///
/// # Errors
/// When the database is away.
pub async fn sweep(db: &Db, clock: &Clock) -> Result<(), DbError> {
    let now = clock.now();
    while db
        .transaction(move |connection| invitations::ending::sweep(connection, now))
        .await?
    {}
    Ok(())
}

/// Forgets what is old enough, a bounded number of messages or one batch in each transaction.
///
/// # Errors
/// When the database is away.
pub async fn forget(db: &Db, clock: &Clock, keep: Keep) -> Result<(), DbError> {
    let now = clock.now();
    db.transaction(move |connection| {
        counter::forget_old(connection, now)?;
        enrollments::pin_requests::forget_old(connection, now)?;
        sessions::forget_old(connection, now)?;
        known::forget_old(connection, now)?;
        idempotent::forget_old(connection, now)
    })
    .await?;
    if let Some(kept) = keep.messages {
        let before = first_id_at(now - kept);
        while db
            .transaction(move |connection| forget_replies(connection, before))
            .await?
        {}
    }
    if let Some(kept) = keep.invitations {
        let before = first_id_at(now - kept);
        while db
            .transaction(move |connection| forget_batch(connection, before))
            .await?
        {}
    }
    Ok(())
}

#[derive(QueryableByName)]
struct Seen {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// Forgets the words of servers about the next messages; the codes stay. Gives whether there may be more.
fn forget_replies(connection: &mut PgConnection, before: Uuid) -> Result<bool, DbError> {
    let seen: Seen = diesel::sql_query(include_str!("retention/sql/forget_replies.sql"))
        .bind::<SqlUuid, _>(before)
        .bind::<BigInt, _>(AT_ONCE)
        .get_result(connection)?;
    Ok(seen.count == AT_ONCE)
}

#[derive(QueryableByName)]
struct Old {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Forgets the oldest batch of which no invitation is somebody's latest or still open: what lists and enrollments
/// say does not rest on it. Whole, so that a batch's counts are true or gone. Gives whether there was one.
fn forget_batch(connection: &mut PgConnection, before: Uuid) -> Result<bool, DbError> {
    let old: Option<Old> = diesel::sql_query(include_str!("retention/sql/forgotten_batch.sql"))
        .bind::<SqlUuid, _>(before)
        .get_result(connection)
        .optional()?;
    let Some(Old { id }) = old else {
        return Ok(false);
    };
    diesel::delete(invited::table.filter(invited::batch_id.eq(id))).execute(connection)?;
    diesel::delete(batches::table.find(id)).execute(connection)?;
    Ok(true)
}
