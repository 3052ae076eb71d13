//! Devices in the database.

use chrono::{DateTime, Utc};
use diesel::{
    pg::Pg,
    prelude::*,
    sql_types::{Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::domain::{Device, ListQuery};
use crate::{
    db::{DbError, prepared::Prepared},
    model::{
        device::{DeviceId, Platform, SerialNumber},
        ownership::{Decided, Ownership, Reason},
    },
    schema::devices,
};

#[derive(Queryable, Selectable, QueryableByName)]
#[diesel(table_name = devices, check_for_backend(Pg))]
struct Row {
    id: Uuid,
    user_id: Option<Uuid>,
    serial_number: Option<String>,
    device_id: Option<String>,
    platform: Platform,
    model: Option<String>,
    os_version: Option<String>,
    supervised: bool,
    user_enrollment: bool,
    ownership_requested: Ownership,
    ownership: Ownership,
    ownership_reason: Reason,
    enrolled_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    retired_at: Option<DateTime<Utc>>,
}

impl From<Row> for Device {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            serial_number: row.serial_number,
            device_id: row.device_id,
            platform: row.platform,
            model: row.model,
            os_version: row.os_version,
            supervised: row.supervised,
            user_enrollment: row.user_enrollment,
            device_ownership: Decided {
                requested: row.ownership_requested,
                effective: row.ownership,
                reason: row.ownership_reason,
            },
            enrolled_at: row.enrolled_at,
            updated_at: row.updated_at,
            retired_at: row.retired_at,
        }
    }
}

/// The LIKE pattern for a part of the search text, which holds lower-case lines.
fn part(q: &str) -> String {
    let escaped = q
        .to_lowercase()
        .replace('\\', "\\\\")
        .replace('%', "\\%")
        .replace('_', "\\_");
    format!("%{escaped}%")
}

/// The devices that are asked for.
fn matching(asked: &ListQuery) -> devices::BoxedQuery<'_, Pg> {
    let mut query = devices::table.into_boxed();
    query = if asked.retired {
        query.filter(devices::retired_at.is_not_null())
    } else {
        query.filter(devices::retired_at.is_null())
    };
    if let Some(user) = asked.user_id {
        query = query.filter(devices::user_id.eq(user));
    }
    if let Some(platform) = asked.platform {
        query = query.filter(devices::platform.eq(platform));
    }
    match asked.q.as_ref().filter(|q| !q.as_str().is_empty()) {
        Some(q) => query.filter(devices::search_text.like(part(q.as_str()))),
        None => query,
    }
}

/// One page, newest first, and one row more.
///
/// # Errors
/// When the database is away.
pub fn list(
    connection: &mut PgConnection,
    asked: &ListQuery,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Device>, DbError> {
    let mut query = matching(asked).select(Row::as_select());
    if let Some(id) = after {
        query = query.filter(devices::id.lt(id));
    }
    let rows = query
        .order(devices::id.desc())
        .limit(limit)
        .load(connection)?;
    Ok(rows.into_iter().map(Device::from).collect())
}

/// How many devices match.
///
/// # Errors
/// When the database is away.
pub fn count(connection: &mut PgConnection, asked: &ListQuery) -> Result<i64, DbError> {
    Ok(matching(asked).count().get_result(connection)?)
}

/// One device, retired or not.
///
/// # Errors
/// When the database is away.
pub fn get(connection: &mut PgConnection, id: Uuid) -> Result<Option<Device>, DbError> {
    let row: Option<Row> = devices::table
        .find(id)
        .select(Row::as_select())
        .first(connection)
        .optional()?;
    Ok(row.map(Device::from))
}

/// The same, held until the end of the transaction.
///
/// # Errors
/// When the database is away.
pub fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Option<Device>, DbError> {
    let row: Option<Row> = devices::table
        .find(id)
        .select(Row::as_select())
        .for_no_key_update()
        .first(connection)
        .optional()?;
    Ok(row.map(Device::from))
}

/// The devices that somebody holds under this serial number or this id, locked: none, one, or two where
/// the two do not belong together.
///
/// # Errors
/// When the database is away.
pub fn held(
    connection: &mut PgConnection,
    serial_number: Option<&SerialNumber>,
    device_id: Option<&DeviceId>,
) -> Result<Vec<Device>, DbError> {
    let rows: Vec<Row> = diesel::sql_query(include_str!("sql/held.sql"))
        .bind::<Nullable<Text>, _>(serial_number.map(SerialNumber::as_str))
        .bind::<Nullable<Text>, _>(device_id.map(DeviceId::as_str))
        .load(connection)?;
    Ok(rows.into_iter().map(Device::from).collect())
}

/// Retires a device that is held: its row stays, and its user may hold another one.
///
/// # Errors
/// When the database is away.
pub fn retire(connection: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> Result<(), DbError> {
    Prepared::new(
        include_str!("sql/retire.sql"),
        (id.into_sql::<SqlUuid>(), now.into_sql::<Timestamptz>()),
    )
    .execute(connection)?;
    Ok(())
}

/// Retires all devices of a user who is held; gives those that it retired.
///
/// # Errors
/// When the database is away.
pub fn retire_all(
    connection: &mut PgConnection,
    user: Uuid,
    now: DateTime<Utc>,
) -> Result<Vec<Uuid>, DbError> {
    #[derive(QueryableByName)]
    struct Retired {
        #[diesel(sql_type = SqlUuid)]
        id: Uuid,
    }
    let retired: Vec<Retired> = diesel::sql_query(include_str!("sql/retire_all.sql"))
        .bind::<SqlUuid, _>(user)
        .bind::<Timestamptz, _>(now)
        .load(connection)?;
    Ok(retired.into_iter().map(|retired| retired.id).collect())
}

/// Takes what devices are known by out of those of a user who is about to be deleted: they stay as rows, which enrollments
/// name. One of the two must be there, so the row's own id takes its place.
///
/// # Errors
/// When the database is away.
pub fn forget_names(connection: &mut PgConnection, user: Uuid) -> Result<(), DbError> {
    diesel::sql_query(include_str!("sql/forget_names.sql"))
        .bind::<SqlUuid, _>(user)
        .execute(connection)?;
    Ok(())
}

/// Devices of a user, held or retired, in the order of their ids.
///
/// # Errors
/// When the database is away.
pub fn of_user(
    connection: &mut PgConnection,
    user: Uuid,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Device>, DbError> {
    let rows: Vec<Row> = devices::table
        .filter(devices::user_id.eq(user))
        .filter(devices::id.gt(after))
        .order(devices::id)
        .limit(limit)
        .select(Row::as_select())
        .load(connection)?;
    Ok(rows.into_iter().map(Device::from).collect())
}

/// Whether an index refused a device because somebody was quicker.
pub fn was_quicker(error: &DbError) -> bool {
    matches!(
        error.constraint(),
        Some("devices_serial_number_key" | "devices_device_id_key")
    )
}

#[cfg(test)]
mod tests {
    use super::part;

    #[test]
    fn a_search_takes_nothing_for_a_wildcard() {
        assert_eq!(part(r"A_1%\"), r"%a\_1\%\\%");
    }
}
