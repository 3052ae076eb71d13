//! A user asks for the PIN again: it is mailed to the registered address, and nowhere else.
//!
//! Whoever asks is told nothing: the answer is given before anything is looked up.

use std::{
    collections::HashSet,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use chrono::{DateTime, Duration, Utc};
use diesel::{
    prelude::*,
    sql_types::{BigInt, Bool, Int2, Int4, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use tokio::sync::{Mutex as Turn, OwnedMutexGuard};
use uuid::Uuid;

use crate::{
    clock::Clock,
    db::{DbError, prepared::Prepared},
    guessing::policy,
    invitations::{mailed, plan::MailsADay},
    model::{
        identity::name_key,
        invitation::{Method, pin_expires_at},
    },
    outbox::registrations::Registrations,
    schema::pin_requests,
};

/// Mails an hour and a day to one user, at most.
const AN_HOUR: i64 = 3;
const A_DAY: i64 = 10;

/// Names that wait for their turn, at most.
const WAITING: usize = 1_000;

/// The line in which requests wait after they were answered. One at a time goes on, so all of them together take one
/// connection to the database; and a name waits once, so that the line tells nothing of how long one takes.
#[derive(Default)]
pub struct Line {
    waiting: Mutex<HashSet<String>>,
    turn: Arc<Turn<()>>,
}

impl Line {
    fn waiting(&self) -> MutexGuard<'_, HashSet<String>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a name wait. `Some(false)`: it does so already. `None`: the line is full.
    pub fn join(&self, name: &str) -> Option<bool> {
        let mut waiting = self.waiting();
        let name = name_key(name);
        if waiting.len() >= WAITING && !waiting.contains(&name) {
            return None;
        }
        Some(waiting.insert(name))
    }

    /// Waits for the turn of a name that has joined. It may join again from then on.
    pub async fn turn(&self, name: &str) -> OwnedMutexGuard<()> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        self.waiting().remove(&name_key(name));
        turn
    }
}

/// What came of a request: for the log and the tests, never for whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requested {
    /// The PIN will be mailed: the same one, or the next if its life is over.
    Queued,
    /// There is no such user, no address, no pending invitation with a PIN, or it was guessed at too often.
    NothingToSend,
    /// The user's setting has this off.
    NotAllowed,
    /// A mail with the PIN is on its way already.
    OnItsWay,
    /// There were enough mails.
    TooOften,
}

#[derive(QueryableByName)]
struct Pending {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = SqlUuid)]
    user_id: Uuid,
    #[diesel(sql_type = Text)]
    method: Method,
    #[diesel(sql_type = Int2)]
    pin_length: i16,
    #[diesel(sql_type = Int2)]
    pin_lifetime_days: i16,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pin_issued_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Timestamptz)]
    expires_at: DateTime<Utc>,
    #[diesel(sql_type = Int4)]
    pin_tries: i32,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    registration_id: Option<Uuid>,
}

#[derive(QueryableByName)]
struct Before {
    #[diesel(sql_type = Bool)]
    on_its_way: bool,
    #[diesel(sql_type = BigInt)]
    within_an_hour: i64,
    #[diesel(sql_type = BigInt)]
    within_a_day: i64,
}

/// Queues the PIN of whoever has this name, if that may be. Runs inside a transaction.
///
/// # Errors
/// When the database is away.
pub fn request(
    connection: &mut PgConnection,
    clock: &Clock,
    registrations: &Registrations,
    mails_a_day: MailsADay,
    name: &str,
) -> Result<Requested, DbError> {
    let now = clock.now();
    let Some(pending) = pending(connection, name, now)? else {
        return Ok(Requested::NothingToSend);
    };
    // A PIN that was guessed at too often is over, and so would the next one be: only an administrator
    // starts the count anew.
    if !pending.method.has_pin() || policy::is_used_up(pending.pin_length, pending.pin_tries) {
        return Ok(Requested::NothingToSend);
    }
    let registration = registrations.get(connection, pending.registration_id)?;
    if !registration.allow_pin_request {
        return Ok(Requested::NotAllowed);
    }
    let before = before(connection, &pending, now)?;
    if before.on_its_way {
        return Ok(Requested::OnItsWay);
    }
    // What was sent counts here, too; what was asked for does not count where somebody sends.
    let asked_for = u32::try_from(before.within_a_day).unwrap_or(u32::MAX);
    let left = NonZeroU32::new(mails_a_day.0.get().saturating_sub(asked_for)).map(MailsADay);
    let is_full = match left {
        None => true,
        Some(left) => !mailed::too_often(connection, &[pending.user_id], left, now)?.is_empty(),
    };
    if before.within_an_hour >= AN_HOUR || before.within_a_day >= A_DAY || is_full {
        return Ok(Requested::TooOften);
    }
    let end = pin_expires_at(
        pending.method,
        pending.pin_issued_at,
        pending.pin_lifetime_days,
        pending.expires_at,
    );
    queue(
        connection,
        clock,
        &pending,
        end.is_some_and(|end| end <= now),
        now,
    )?;
    Ok(Requested::Queued)
}

/// The pending invitation of whoever has this name, locked, so that requests take turns.
fn pending(
    connection: &mut PgConnection,
    name: &str,
    now: DateTime<Utc>,
) -> Result<Option<Pending>, DbError> {
    Ok(Prepared::new(
        include_str!("sql/pending_by_name.sql"),
        (name.into_sql::<Text>(), now.into_sql::<Timestamptz>()),
    )
    .get_result(connection)
    .optional()?)
}

/// What was mailed lately. A statement of its own, so that whoever waited for the lock sees what was asked for
/// meanwhile.
fn before(
    connection: &mut PgConnection,
    pending: &Pending,
    now: DateTime<Utc>,
) -> Result<Before, DbError> {
    Ok(Prepared::new(
        include_str!("sql/mailed_lately.sql"),
        (
            pending.id.into_sql::<SqlUuid>(),
            pending.user_id.into_sql::<SqlUuid>(),
            (now - Duration::hours(1)).into_sql::<Timestamptz>(),
            (now - Duration::days(1)).into_sql::<Timestamptz>(),
        ),
    )
    .get_result(connection)?)
}

/// Queues the mail. What was wrongly tried goes on counting, also against the next PIN; whose life begins when its
/// mail is handed over. The message is no part of the batch that was once sent; it and the request have one id.
fn queue(
    connection: &mut PgConnection,
    clock: &Clock,
    pending: &Pending,
    next: bool,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    Prepared::new(
        include_str!("sql/queue_pin.sql"),
        (
            pending.id.into_sql::<SqlUuid>(),
            pending.user_id.into_sql::<SqlUuid>(),
            clock.new_id().into_sql::<SqlUuid>(),
            now.into_sql::<Timestamptz>(),
            next.into_sql::<Bool>(),
        ),
    )
    .execute(connection)?;
    Ok(())
}

/// Forgets requests that no limit looks at any more. Gives how many.
///
/// # Errors
/// When the database is away.
pub fn forget_old(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<usize, DbError> {
    let before = now - Duration::days(1);
    Ok(
        diesel::delete(pin_requests::table.filter(pin_requests::requested_at.le(before)))
            .execute(connection)?,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_waits_once_and_the_line_has_an_end() {
        let line = Line::default();
        for number in 0..WAITING {
            assert_eq!(line.join(&format!("user{number}")), Some(true));
        }
        assert_eq!((line.join("USER7"), line.join("ada")), (Some(false), None));
        let turn = line.turn("User7").await;
        assert_eq!((line.join("ada"), line.join("user7")), (Some(true), None));
        drop(turn);
        drop(line.turn("user8").await);
        assert_eq!(line.join("user7"), Some(true));
    }
}
