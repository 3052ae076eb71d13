//! Tries in the database: whom and what each is about, and how often the invitation's PIN was guessed. How often the name
//! was, is counted before ([`counter`](crate::guessing::counter)).

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Int4, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use secrecy::SecretString;
use uuid::Uuid;

use super::{
    domain::DeviceReport,
    found::{Found, FoundRow, Guarded, NewestRow, found_by_name, found_columns, found_with_newest},
    verdict::REPEATED_WITHIN,
};
use crate::{
    db::{DbError, prepared::Prepared},
    guessing::{counter::Begins, policy},
    model::device::{DeviceId, SerialNumber},
};

/// The lock under which strangers with PINs take turns: "pins" in ASCII.
const PINS_LOCK: i64 = 0x7069_6e73;

/// Waits for strangers at other instances. One by one, whatever the names: tries at two names of one user wait for each other
/// at the invitation, and who asks at once would see by the time whether those at two strangers' do.
///
/// # Errors
/// When the database is away.
pub fn take_turn(connection: &mut PgConnection) -> Result<(), DbError> {
    Prepared::new(
        "SELECT pg_advisory_xact_lock($1)",
        (PINS_LOCK.into_sql::<BigInt>(),),
    )
    .execute(connection)?;
    Ok(())
}

/// Looks a name up for a try with a PIN that was counted, and counts it against the user's newest invitation, too, in
/// whatever state that is: so the tries under all names of a user add up. The invitation is locked until the end of the
/// transaction, which commits the count whether or not the PIN was right.
///
/// # Errors
/// When the database is away.
pub fn by_name_with_pin(
    connection: &mut PgConnection,
    name: &str,
    begins: Begins,
) -> Result<Found, DbError> {
    let row: FoundRow = Prepared::new(
        concat!(
            "WITH ",
            found_with_newest!(),
            ", counted AS (
                UPDATE invitations i SET pin_tries = n.pin_tries + 1, pin_locked_until = coalesce($2, n.pin_locked_until)
                FROM newest n WHERE i.id = n.id AND n.pin_tries < ($3)[n.pin_length]
            )
            SELECT ",
            found_columns!(),
            " FROM (VALUES (1)) one LEFT JOIN found f ON true LEFT JOIN newest n ON true"
        ),
        (
            name.into_sql::<Text>(),
            begins.into_sql::<Nullable<Timestamptz>>(),
            (1..=12)
                .map(policy::most_pins)
                .collect::<Vec<i32>>()
                .into_sql::<Array<Int4>>(),
        ),
    )
    .get_result(connection)?;
    row.found()
}

/// Looks a name up without counting. Locks as [`by_name_with_pin`] does.
///
/// # Errors
/// When the database is away.
pub fn by_name(connection: &mut PgConnection, name: &str) -> Result<Found, DbError> {
    let row: FoundRow = Prepared::new(
        concat!(
            "WITH ",
            found_with_newest!(),
            " SELECT ",
            found_columns!(),
            " FROM (VALUES (1)) one LEFT JOIN found f ON true LEFT JOIN newest n ON true"
        ),
        (name.into_sql::<Text>(),),
    )
    .get_result(connection)?;
    row.found()
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
            " FROM found f CROSS JOIN newest n"
        ),
        (
            invitation.into_sql::<SqlUuid>(),
            i32::try_from(counter).unwrap_or(-1).into_sql::<Int4>(),
        ),
    )
    .get_result(connection)
    .optional()?;
    row.map_or_else(|| Ok(Found::default()), FoundRow::found)
}

/// The hash of the password of whoever has a name.
///
/// # Errors
/// When the database is away.
pub fn password_hash(
    connection: &mut PgConnection,
    name: &str,
) -> Result<Option<SecretString>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Nullable<Text>)]
        password_hash: Option<String>,
    }
    // Not held: the hash is compared with the stored one again, once it was looked at.
    let row: Option<Row> = Prepared::new(
        "SELECT password_hash FROM users WHERE id = (SELECT user_id FROM user_names WHERE key = enlist_name_key($1))",
        (name.into_sql::<Text>(),),
    )
    .get_result(connection)
    .optional()?;
    Ok(row
        .and_then(|row| row.password_hash)
        .map(SecretString::from))
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
