//! How invitations end other than by enrolling: superseded, revoked or expired. Each way locks what it ends
//! in the order of ids, so that two that meet wait for each other instead of for ever.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use crate::{
    db::{DbError, stored},
    model::invitation::State,
    schema::{batches, invitations},
};

/// How many invitations one statement of the sweeper marks: it holds their rows for some milliseconds.
const SWEPT_AT_ONCE: i64 = 1_000;

/// Ends pending invitations that `$1` chooses, as `$2` at `$3`; one whose time is over has expired instead.
/// Their messages that are still to be sent are not.
///
/// Messages that a worker holds at this moment are skipped instead of waited for: whoever claims one later
/// sees that its invitation has ended. The states are named by what they are not, so that the planner takes
/// the index by invitation and not that of the due messages, which is full of dead entries after a large
/// batch: 10,000 recipients took 4 s with it and take 0.2 s without.
macro_rules! ended {
    ($chosen:literal, $result:literal) => {
        concat!(
            "WITH chosen AS (
                SELECT id FROM invitations WHERE state = 'pending' AND ",
            $chosen,
            " ORDER BY id FOR NO KEY UPDATE
            ), ended AS (
                UPDATE invitations i
                SET state = CASE WHEN i.expires_at <= $3 THEN 'expired' ELSE $2 END, ended_at = least(i.expires_at, $3)
                FROM chosen WHERE i.id = chosen.id AND i.state = 'pending'
                RETURNING i.id, i.user_id, i.state
            ), unsent AS (
                SELECT m.id, e.state FROM messages m JOIN ended e ON e.id = m.invitation_id
                WHERE m.state NOT IN ('sending', 'accepted', 'bounced', 'failed', 'suppressed')
                FOR UPDATE OF m SKIP LOCKED
            ), kept AS (
                UPDATE messages m
                SET state = CASE WHEN unsent.state = 'expired' THEN 'failed' ELSE 'suppressed' END, reason = unsent.state
                FROM unsent WHERE m.id = unsent.id
            ) ",
            $result
        )
    };
}

/// An invitation that has just ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ended {
    pub id: Uuid,
    pub user_id: Option<Uuid>,
    pub state: State,
}

#[derive(QueryableByName)]
struct EndedRow {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = diesel::sql_types::Nullable<SqlUuid>)]
    user_id: Option<Uuid>,
    #[diesel(sql_type = Text)]
    state: String,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

fn shown(rows: Vec<EndedRow>) -> Result<Vec<Ended>, DbError> {
    rows.into_iter()
        .map(|row| {
            Ok(Ended {
                id: row.id,
                user_id: row.user_id,
                state: stored(&row.state, State::from_name)?,
            })
        })
        .collect()
}

/// Ends the pending invitations of these users, as `state`. Whoever calls this for many holds the users.
///
/// # Errors
/// When the database is away.
pub fn end_pending(
    connection: &mut PgConnection,
    users: impl Iterator<Item = Uuid>,
    state: State,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::sql_query(ended!(
        "user_id = ANY ($1)",
        "SELECT count(*) AS number FROM ended"
    ))
    .bind::<Array<SqlUuid>, _>(users.collect::<Vec<_>>())
    .bind::<Text, _>(state.as_str())
    .bind::<Timestamptz, _>(now)
    .execute(connection)?;
    Ok(())
}

/// Revokes a user's pending invitation, and holds all the others: the user is about to be deleted, which takes the
/// person out of each. Whoever writes results holds several of them, too, in the order of their ids. What was written to
/// nobody else who is there goes, too.
///
/// # Errors
/// When the database is away.
pub fn let_go(
    connection: &mut PgConnection,
    user: Uuid,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    // Batches before their invitations, as where one is canceled. In a statement of its own: of two who are written to
    // and deleted at once, the second one sees that the first is gone.
    let noted: Vec<Uuid> = batches::table
        .filter(batches::note.is_not_null())
        .filter(
            batches::id.eq_any(
                invitations::table
                    .filter(invitations::user_id.eq(user))
                    .select(invitations::batch_id),
            ),
        )
        .order(batches::id)
        .select(batches::id)
        .for_no_key_update()
        .load(connection)?;
    diesel::sql_query(
        "UPDATE batches b SET note = NULL WHERE b.id = ANY ($1) AND NOT EXISTS (
            SELECT FROM invitations i WHERE i.batch_id = b.id AND i.user_id IS NOT NULL AND i.user_id <> $2)",
    )
    .bind::<Array<SqlUuid>, _>(noted)
    .bind::<SqlUuid, _>(user)
    .execute(connection)?;
    let _held: Vec<Uuid> = invitations::table
        .filter(invitations::user_id.eq(user))
        .order(invitations::id)
        .select(invitations::id)
        .for_no_key_update()
        .load(connection)?;
    end_pending(connection, std::iter::once(user), State::Revoked, now)
}

/// Revokes the pending invitations of these users. Gives those that have ended, some of which may have
/// expired instead.
///
/// # Errors
/// When the database is away.
pub fn revoke_of(
    connection: &mut PgConnection,
    users: &[Uuid],
    now: DateTime<Utc>,
) -> Result<Vec<Ended>, DbError> {
    shown(
        diesel::sql_query(ended!(
            "user_id = ANY ($1)",
            "SELECT id, user_id, state FROM ended"
        ))
        .bind::<Array<SqlUuid>, _>(users)
        .bind::<Text, _>(State::Revoked.as_str())
        .bind::<Timestamptz, _>(now)
        .load(connection)?,
    )
}

/// Revokes the pending invitations that were made with a key. Gives how many have ended.
///
/// # Errors
/// When the database is away.
pub fn revoke_under(
    connection: &mut PgConnection,
    key: &str,
    now: DateTime<Utc>,
) -> Result<i64, DbError> {
    let ended: Number = diesel::sql_query(ended!(
        "key_id = $1",
        "SELECT count(*) AS number FROM ended"
    ))
    .bind::<Text, _>(key)
    .bind::<Text, _>(State::Revoked.as_str())
    .bind::<Timestamptz, _>(now)
    .get_result(connection)?;
    Ok(ended.number)
}

/// Revokes these invitations, as far as they are pending.
///
/// # Errors
/// When the database is away.
pub fn revoke(
    connection: &mut PgConnection,
    ids: &[Uuid],
    now: DateTime<Utc>,
) -> Result<Vec<Ended>, DbError> {
    shown(
        diesel::sql_query(ended!(
            "id = ANY ($1)",
            "SELECT id, user_id, state FROM ended"
        ))
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Text, _>(State::Revoked.as_str())
        .bind::<Timestamptz, _>(now)
        .load(connection)?,
    )
}

/// Marks invitations whose time is over, a bounded number of them. Gives whether there may be more.
///
/// Answers are right without it, since they look at the time; this keeps what they look through small, and
/// ends messages that no worker comes by. Rows that somebody holds are left for the next time.
///
/// # Errors
/// When the database is away.
pub fn sweep(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<bool, DbError> {
    let swept: Number = diesel::sql_query(ended!(
        "id IN (SELECT id FROM invitations WHERE state = 'pending' AND expires_at <= $3
            ORDER BY expires_at LIMIT $1 FOR NO KEY UPDATE SKIP LOCKED)",
        "SELECT count(*) AS number FROM ended"
    ))
    .bind::<BigInt, _>(SWEPT_AT_ONCE)
    .bind::<Text, _>(State::Expired.as_str())
    .bind::<Timestamptz, _>(now)
    .get_result(connection)?;
    Ok(swept.number == SWEPT_AT_ONCE)
}
