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
    found::{Found, FoundRow, Guarded, NewestRow},
    verdict::REPEATED_WITHIN,
};
use crate::{
    db::{DbError, prepared::Prepared},
    guessing::{counter::Begins, policy},
    model::device::{DeviceId, SerialNumber},
    schema::{invitations, user_names, users},
};

diesel::define_sql_function! {
    /// A name as names are compared.
    fn enlist_name_key(name: Text) -> Text;
}

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
        include_str!("sql/by_name_with_pin.sql"),
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
    let row: FoundRow = Prepared::new(include_str!("sql/by_name.sql"), (name.into_sql::<Text>(),))
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
        include_str!("sql/by_token.sql"),
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
    let holder = user_names::table
        .filter(user_names::key.eq(enlist_name_key(name)))
        .select(user_names::user_id)
        .single_value();
    // Not held: the hash is compared with the stored one again, once it was looked at.
    let hash: Option<Option<String>> = users::table
        .filter(users::id.nullable().eq(holder))
        .select(users::password_hash)
        .first(connection)
        .optional()?;
    Ok(hash.flatten().map(SecretString::from))
}

/// The PIN was right and enrolls nothing all the same: the try was no wrong one.
///
/// # Errors
/// When the database is away.
pub fn take_back_pin_try(connection: &mut PgConnection, guarded: &Guarded) -> Result<(), DbError> {
    diesel::update(invitations::table.find(guarded.invited.id))
        .set((
            invitations::pin_tries.eq(guarded.tries),
            invitations::pin_locked_until.eq(guarded.locked_until),
        ))
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
        include_str!("sql/used_before.sql"),
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
