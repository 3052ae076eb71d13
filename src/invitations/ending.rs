//! How invitations end other than by enrolling: superseded, revoked or expired. Each way locks what it ends
//! in the order of ids, so that two that meet wait for each other instead of for ever.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use crate::{
    db::DbError,
    model::invitation::State,
    schema::{batches, invitations},
};

/// How many invitations one statement of the sweeper marks: it holds their rows for some milliseconds.
const SWEPT_AT_ONCE: i64 = 1_000;

/// An invitation that has just ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, QueryableByName)]
pub struct Ended {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub user_id: Option<Uuid>,
    #[diesel(sql_type = Text)]
    pub state: State,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
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
    diesel::sql_query(include_str!("sql/end_of_users.sql"))
        .bind::<Array<SqlUuid>, _>(users.collect::<Vec<_>>())
        .bind::<Text, _>(state)
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
    diesel::sql_query(include_str!("sql/forget_notes.sql"))
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
    Ok(diesel::sql_query(include_str!("sql/revoke_of_users.sql"))
        .bind::<Array<SqlUuid>, _>(users)
        .bind::<Text, _>(State::Revoked)
        .bind::<Timestamptz, _>(now)
        .load(connection)?)
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
    let ended: Number = diesel::sql_query(include_str!("sql/revoke_under.sql"))
        .bind::<Text, _>(key)
        .bind::<Text, _>(State::Revoked)
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
    Ok(diesel::sql_query(include_str!("sql/revoke.sql"))
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Text, _>(State::Revoked)
        .bind::<Timestamptz, _>(now)
        .load(connection)?)
}

/// Marks invitations whose time is over, a bounded number of them. Gives whether there may be more.
///
/// Answers are right without it, since they look at the time; this keeps what they look through small, and
/// ends messages that no worker comes by. Rows that somebody holds are left for the next time.
///
/// # Errors
/// When the database is away.
pub fn sweep(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<bool, DbError> {
    let swept: Number = diesel::sql_query(include_str!("sql/sweep.sql"))
        .bind::<BigInt, _>(SWEPT_AT_ONCE)
        .bind::<Text, _>(State::Expired)
        .bind::<Timestamptz, _>(now)
        .get_result(connection)?;
    Ok(swept.number == SWEPT_AT_ONCE)
}
