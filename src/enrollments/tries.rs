//! Tries in the database: each looks up whom and what it is about, and is counted.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, Bool, Int4, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use secrecy::SecretString;
use uuid::Uuid;

use super::{
    domain::DeviceReport,
    found::{Found, FoundRow, Guarded, NewestRow, found_by_name, found_columns},
    verdict::REPEATED_WITHIN,
};
use crate::{
    db::{DbError, prepared::Prepared},
    guessing::{
        counter::{Try, counted_aside},
        policy::{self, MOST_PINS, NO_END, PAUSES, ROUND},
    },
    model::device::{DeviceId, SerialNumber},
};

/// Looks a name up for a try with a PIN, and counts the try: against the user's newest invitation, in whatever
/// state it is, or aside where there is none, so that every name answers and locks alike. One statement:
/// who waits for the same row sees this try counted. The invitation is locked until the end of the
/// transaction, which commits the count whether or not the PIN was right.
///
/// # Errors
/// When the database is away.
pub fn count_pin_try(
    connection: &mut PgConnection,
    name: &str,
    nobody: Uuid,
    now: DateTime<Utc>,
) -> Result<Found, DbError> {
    let row: FoundRow = Prepared::new(
        concat!(
            "WITH ",
            found_by_name!(),
            ", newest AS (
                SELECT i.* FROM found f
                JOIN user_activity a ON a.user_id = f.id
                JOIN invitations i ON i.id = a.latest_invitation_id
                FOR NO KEY UPDATE OF i
            ), counted AS (
                UPDATE invitations i SET
                    pin_tries = n.pin_tries + 1,
                    pin_locked_until = CASE WHEN (n.pin_tries + 1) % $4 = 0
                        THEN $3 + make_interval(secs => ($5)[least((n.pin_tries + 1) / $4, cardinality($5))])
                        ELSE n.pin_locked_until END
                FROM newest n
                WHERE i.id = n.id AND (n.pin_locked_until IS NULL OR n.pin_locked_until <= $3)
                    AND n.pin_tries < ($7)[n.pin_length]
                RETURNING i.id
            ), aside AS (",
            counted_aside!("$2", "NOT EXISTS (SELECT FROM newest)"),
            ")
            SELECT ",
            found_columns!(),
            ", c.id IS NOT NULL OR coalesce(x.looked_at, false) AS looked_at,
                coalesce(n.pin_locked_until, x.locked_until) AS locked_until
            FROM (VALUES (1)) one
            LEFT JOIN found f ON true LEFT JOIN newest n ON true LEFT JOIN counted c ON true LEFT JOIN aside x ON true"
        ),
        (
            name.into_sql::<Text>(),
            nobody.into_sql::<SqlUuid>(),
            now.into_sql::<Timestamptz>(),
            ROUND.into_sql::<Int4>(),
            PAUSES.as_slice().into_sql::<Array<Int4>>(),
            MOST_PINS.into_sql::<Int4>(),
            (1..=12)
                .map(policy::most_pins)
                .collect::<Vec<i32>>()
                .into_sql::<Array<Int4>>(),
        ),
    )
    .get_result(connection)?;
    row.found(now)
}

/// Looks a name up without counting: the password was counted and found right before. Locks as
/// [`count_pin_try`] does.
///
/// # Errors
/// When the database is away.
pub fn by_name(
    connection: &mut PgConnection,
    name: &str,
    now: DateTime<Utc>,
) -> Result<Found, DbError> {
    let row: FoundRow = Prepared::new(
        concat!(
            "WITH ",
            found_by_name!(),
            ", newest AS (
                SELECT i.* FROM found f
                JOIN user_activity a ON a.user_id = f.id
                JOIN invitations i ON i.id = a.latest_invitation_id
                FOR NO KEY UPDATE OF i
            )
            SELECT ",
            found_columns!(),
            ", true AS looked_at, NULL::timestamptz AS locked_until
            FROM (VALUES (1)) one LEFT JOIN found f ON true LEFT JOIN newest n ON true"
        ),
        (name.into_sql::<Text>(),),
    )
    .get_result(connection)?;
    row.found(now)
}

/// Looks up whose invitation a genuine token is for, and locks it. `None`: it has a newer counter, or its
/// user is gone.
///
/// # Errors
/// When the database is away.
pub fn by_token(
    connection: &mut PgConnection,
    invitation: Uuid,
    counter: u32,
    now: DateTime<Utc>,
) -> Result<Found, DbError> {
    let row: Option<FoundRow> = Prepared::new(
        concat!(
            "WITH found AS (
                SELECT u.* FROM users u WHERE u.id = (SELECT user_id FROM invitations WHERE id = $1) FOR KEY SHARE
            ), newest AS (
                SELECT i.* FROM found f JOIN invitations i ON i.id = $1 AND i.user_id = f.id AND i.counter = $2
                FOR NO KEY UPDATE OF i
            )
            SELECT ",
            found_columns!(),
            ", true AS looked_at, NULL::timestamptz AS locked_until FROM found f CROSS JOIN newest n"
        ),
        (
            invitation.into_sql::<SqlUuid>(),
            i32::try_from(counter).unwrap_or(-1).into_sql::<Int4>(),
        ),
    )
    .get_result(connection)
    .optional()?;
    row.map_or(
        Ok(Found {
            person: None,
            newest: None,
            counted: Try::Counted(()),
        }),
        |row| row.found(now),
    )
}

#[derive(QueryableByName)]
struct PasswordRow {
    #[diesel(sql_type = Nullable<Text>)]
    password_hash: Option<String>,
    #[diesel(sql_type = Bool)]
    looked_at: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    locked_until: Option<DateTime<Utc>>,
}

/// Counts a try with a password, against the user or, where there is none, against the name. Gives the hash
/// to compare with, if the user has a password.
///
/// # Errors
/// When the database is away.
pub fn count_password_try(
    connection: &mut PgConnection,
    name: &str,
    nobody: Uuid,
    now: DateTime<Utc>,
) -> Result<Try<Option<SecretString>>, DbError> {
    let row: PasswordRow = Prepared::new(
        concat!(
            "WITH ",
            found_by_name!(),
            ", aside AS (",
            counted_aside!("coalesce((SELECT id FROM found), $2)", "true"),
            ")
            SELECT f.password_hash, x.looked_at, x.locked_until FROM aside x LEFT JOIN found f ON true"
        ),
        (
            name.into_sql::<Text>(),
            nobody.into_sql::<SqlUuid>(),
            now.into_sql::<Timestamptz>(),
            ROUND.into_sql::<Int4>(),
            PAUSES.as_slice().into_sql::<Array<Int4>>(),
            NO_END.into_sql::<Int4>(),
        ),
    )
    .get_result(connection)?;
    Ok(if row.looked_at {
        Try::Counted(row.password_hash.map(SecretString::from))
    } else {
        Try::Paused(policy::retry_after(row.locked_until, now))
    })
}

/// The PIN was right and enrolls nothing all the same: the try was no wrong one.
///
/// # Errors
/// When the database is away.
pub fn take_back_pin_try(connection: &mut PgConnection, guarded: &Guarded) -> Result<(), DbError> {
    Prepared::new(
        "UPDATE invitations SET pin_tries = $2, pin_locked_until = $3 WHERE id = $1",
        (
            guarded.invited.id.into_sql::<SqlUuid>(),
            guarded.tries.into_sql::<Int4>(),
            guarded.locked_until.into_sql::<Nullable<Timestamptz>>(),
        ),
    )
    .execute(connection)?;
    Ok(())
}

/// An invitation, other than the newest, with which this device was enrolled lately: a repeat still gets its
/// answer after the user was invited anew. Asked for nobody, too, so that all wrong tries cost the same.
///
/// # Errors
/// When the database is away.
pub fn used_before(
    connection: &mut PgConnection,
    user: Option<Uuid>,
    newest: Option<Uuid>,
    device: &DeviceReport,
    now: DateTime<Utc>,
) -> Result<Option<Guarded>, DbError> {
    let row: Option<NewestRow> = Prepared::new(
        "SELECT i.id AS invitation_id, i.method, i.state, i.device_ownership, i.locale, i.key_id, i.counter,
            i.pin_length, i.pin_lifetime_days, i.pin_issued_at, i.expires_at, i.registration_id, i.pin_tries, i.pin_locked_until
         FROM enrollments e JOIN invitations i ON i.id = e.invitation_id JOIN devices d ON d.id = e.device_id
         WHERE e.user_id = $1 AND e.enrolled_at >= $2 AND i.id IS DISTINCT FROM $3
             AND (lower(d.serial_number) = lower($4) OR d.device_id = $5)
         ORDER BY e.id DESC LIMIT 1",
        (
            user.into_sql::<Nullable<SqlUuid>>(),
            (now - REPEATED_WITHIN).into_sql::<Timestamptz>(),
            newest.into_sql::<Nullable<SqlUuid>>(),
            device
                .serial_number
                .as_ref()
                .map(SerialNumber::as_str)
                .into_sql::<Nullable<Text>>(),
            device
                .device_id
                .as_ref()
                .map(DeviceId::as_str)
                .into_sql::<Nullable<Text>>(),
        ),
    )
    .get_result(connection)
    .optional()?;
    Ok(row.map(NewestRow::guarded).transpose()?.flatten())
}
