//! How often something was guessed at: one row of `guesses` for each name at which nothing else counts the tries.

use chrono::{DateTime, Duration, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, Bool, Int4, Nullable, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::policy::{self, NO_END, PAUSES, ROUND};
use crate::{
    db::{DbError, prepared::Prepared},
    schema::guesses,
    secrets::keys::{KeyRing, Purpose},
};

/// What is guessed at: names of different kinds are counted apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secret {
    /// The PIN of an invitation.
    Pin,
    /// A user's password.
    UserPassword,
    /// An operator's password.
    OperatorPassword,
}

impl Secret {
    /// Part of the MAC of a name: it must stay as it is, or counts of a running service are forgotten.
    const fn label(self) -> u8 {
        match self {
            Self::Pin => b'p',
            Self::UserPassword => b'w',
            Self::OperatorPassword => b'o',
        }
    }
}

/// What the count says of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Try<T> {
    /// It is counted, and may be looked at.
    Counted(T),
    /// There were too many: nothing is looked at for so many seconds.
    Paused(u32),
}

/// Counts a try, in one row of `guesses`: `$2` the row unless there is a user, `$3` now, `$4` after how many
/// tries there is a pause, `$5` the pauses, `$6` after how many tries nothing is looked at any more.
macro_rules! counted_aside {
    ($subject:literal, $condition:literal) => {
        concat!(
            "INSERT INTO guesses AS g (subject, tries, locked_until, looked_at, updated_at)
             SELECT ",
            $subject,
            ", 1, NULL, true, $3 WHERE ",
            $condition,
            " ON CONFLICT (subject) DO UPDATE SET
                looked_at = (g.locked_until IS NULL OR g.locked_until <= $3) AND g.tries < $6,
                tries = CASE WHEN (g.locked_until IS NULL OR g.locked_until <= $3) AND g.tries < $6
                    THEN g.tries + 1 ELSE g.tries END,
                locked_until = CASE
                    WHEN (g.locked_until IS NULL OR g.locked_until <= $3) AND g.tries < $6 AND (g.tries + 1) % $4 = 0
                    THEN $3 + make_interval(secs => ($5)[least((g.tries + 1) / $4, cardinality($5))])
                    ELSE g.locked_until END,
                updated_at = $3
             RETURNING g.looked_at, g.locked_until"
        )
    };
}

#[derive(QueryableByName)]
struct AsideRow {
    #[diesel(sql_type = Bool)]
    looked_at: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    locked_until: Option<DateTime<Utc>>,
}

pub(crate) use counted_aside;

/// Counts a try at a password that is no user's.
///
/// # Errors
/// When the database is away.
pub fn count_try(
    connection: &mut PgConnection,
    subject: Uuid,
    now: DateTime<Utc>,
) -> Result<Try<()>, DbError> {
    let row: AsideRow = Prepared::new(
        counted_aside!("$2", "$1"),
        (
            true.into_sql::<Bool>(),
            subject.into_sql::<SqlUuid>(),
            now.into_sql::<Timestamptz>(),
            ROUND.into_sql::<Int4>(),
            PAUSES.as_slice().into_sql::<Array<Int4>>(),
            NO_END.into_sql::<Int4>(),
        ),
    )
    .get_result(connection)?;
    Ok(if row.looked_at {
        Try::Counted(())
    } else {
        Try::Paused(policy::retry_after(row.locked_until, now))
    })
}

/// Forgets what was counted: the secret was right.
///
/// # Errors
/// When the database is away.
pub fn forget(connection: &mut PgConnection, subject: Uuid) -> Result<(), DbError> {
    Prepared::new(
        "DELETE FROM guesses WHERE subject = $1",
        (subject.into_sql::<SqlUuid>(),),
    )
    .execute(connection)?;
    Ok(())
}

/// How long a count is kept that nobody adds to.
const COUNTED_FOR: Duration = Duration::hours(24);

/// Forgets counts that nobody has added to for a day: known names and unknown ones alike. Gives how many.
///
/// # Errors
/// When the database is away.
pub fn forget_old(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<usize, DbError> {
    let before = now - COUNTED_FOR;
    Ok(
        diesel::delete(guesses::table.filter(guesses::updated_at.le(before)))
            .execute(connection)?,
    )
}

/// Where tries at a name are counted behind which there is nothing to guess. A MAC, since what people
/// type there by mistake may be a secret.
pub fn subject(keys: &KeyRing, secret: Secret, name: &str) -> Uuid {
    let folded = name.to_lowercase();
    let mac = keys
        .signing()
        .mac(Purpose::Nobody, &[&[secret.label()], folded.as_bytes()]);
    Uuid::from_bytes(std::array::from_fn(|index| mac[index]))
}
