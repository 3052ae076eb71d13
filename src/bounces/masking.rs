//! What servers and reports said before words were masked when they are stored: it is masked beside serving, once.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Text, Uuid as SqlUuid},
};
use uuid::Uuid;

use crate::{
    clock::Clock,
    db::{Db, DbError},
    model::said::masked,
    schema::masking,
};

/// Rows of each table that one transaction looks at.
const AT_ONCE: i64 = 1_000;
/// An older instance may go on writing for as long during an upgrade.
const SECOND_PASS_AFTER: TimeDelta = TimeDelta::hours(1);
/// When the database is asked again that was away, and how long a wait lasts at most.
const PAUSE: Duration = Duration::from_secs(60);

/// Masks what is stored until all of it is, or it is dropped. Any number of instances may.
pub async fn run(db: Db, clock: Clock) {
    loop {
        match settle(&db, &clock).await {
            Ok(None) => return,
            Ok(Some(_)) => {}
            Err(error) => {
                tracing::warn!(%error, "words of servers from before cannot be masked");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// Masks what is to be masked by now. Gives when there is more to do; `None`: never again.
///
/// # Errors
/// When the database is away.
pub async fn settle(db: &Db, clock: &Clock) -> Result<Option<DateTime<Utc>>, DbError> {
    loop {
        let now = clock.now();
        match db
            .transaction(move |connection| step(connection, now))
            .await?
        {
            Next::More => {}
            Next::At(at) => return Ok(Some(at)),
            Next::Done => return Ok(None),
        }
    }
}

enum Next {
    More,
    At(DateTime<Utc>),
    Done,
}

/// Masks the next rows of both tables. Whoever else wants to waits, and goes on behind them.
fn step(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<Next, DbError> {
    let (passes_left, begins_at, message_till, suppression_till): (i16, DateTime<Utc>, Uuid, Uuid) =
        masking::table
            .select((
                masking::passes_left,
                masking::begins_at,
                masking::message_till,
                masking::suppression_till,
            ))
            .for_update()
            .get_result(connection)?;
    if passes_left <= 0 {
        return Ok(Next::Done);
    }
    if now < begins_at {
        return Ok(Next::At(begins_at));
    }
    let messages = MESSAGES.mask(connection, message_till)?;
    let suppressions = SUPPRESSIONS.mask(connection, suppression_till)?;
    let row = diesel::update(masking::table);
    if messages.is_none() && suppressions.is_none() {
        row.set((
            masking::passes_left.eq(passes_left - 1),
            masking::begins_at.eq(now + SECOND_PASS_AFTER),
            masking::message_till.eq(Uuid::nil()),
            masking::suppression_till.eq(Uuid::nil()),
        ))
        .execute(connection)?;
    } else {
        row.set((
            masking::message_till.eq(messages.unwrap_or(message_till)),
            masking::suppression_till.eq(suppressions.unwrap_or(suppression_till)),
        ))
        .execute(connection)?;
    }
    Ok(Next::More)
}

#[derive(QueryableByName)]
struct Said {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    reason: String,
}

/// A table with servers' words.
struct Words {
    read: &'static str,
    write: &'static str,
}

const MESSAGES: Words = Words {
    read: include_str!("sql/said_in_messages.sql"),
    write: include_str!("sql/mask_in_messages.sql"),
};
const SUPPRESSIONS: Words = Words {
    read: include_str!("sql/said_in_suppressions.sql"),
    write: include_str!("sql/mask_in_suppressions.sql"),
};

impl Words {
    /// Masks the next rows behind this one, and writes those that change. Gives the last that was looked at.
    fn mask(&self, connection: &mut PgConnection, after: Uuid) -> Result<Option<Uuid>, DbError> {
        let found: Vec<Said> = diesel::sql_query(self.read)
            .bind::<SqlUuid, _>(after)
            .bind::<BigInt, _>(AT_ONCE)
            .load(connection)?;
        let last = found.last().map(|said| said.id);
        let changed: Vec<(Uuid, String, String)> = found
            .into_iter()
            .map(|said| (said.id, masked(&said.reason), said.reason))
            .filter(|(_, masked, reason)| masked != reason)
            .map(|(id, masked, reason)| (id, reason, masked))
            .collect();
        if !changed.is_empty() {
            let ids: Vec<Uuid> = changed.iter().map(|(id, ..)| *id).collect();
            let reasons: Vec<&str> = changed
                .iter()
                .map(|(_, reason, _)| reason.as_str())
                .collect();
            let masked: Vec<&str> = changed.iter().map(|(.., masked)| masked.as_str()).collect();
            diesel::sql_query(self.write)
                .bind::<Array<SqlUuid>, _>(ids)
                .bind::<Array<Text>, _>(reasons)
                .bind::<Array<Text>, _>(masked)
                .execute(connection)?;
        }
        Ok(last)
    }
}
