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
    db::{DbError, prepared::Prepared, stored},
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
    platform: String,
    model: Option<String>,
    os_version: Option<String>,
    supervised: bool,
    user_enrollment: bool,
    ownership_requested: String,
    ownership: String,
    ownership_reason: String,
    enrolled_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    retired_at: Option<DateTime<Utc>>,
}

impl Row {
    fn shown(self) -> Result<Device, DbError> {
        Ok(Device {
            id: self.id,
            user_id: self.user_id,
            serial_number: self.serial_number,
            device_id: self.device_id,
            platform: stored(&self.platform, Platform::from_name)?,
            model: self.model,
            os_version: self.os_version,
            supervised: self.supervised,
            user_enrollment: self.user_enrollment,
            device_ownership: Decided {
                requested: stored(&self.ownership_requested, Ownership::from_name)?,
                effective: stored(&self.ownership, Ownership::from_name)?,
                reason: stored(&self.ownership_reason, Reason::from_name)?,
            },
            enrolled_at: self.enrolled_at,
            updated_at: self.updated_at,
            retired_at: self.retired_at,
        })
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

/// Adds the filters of `GET /devices`.
macro_rules! filtered {
    ($query:expr, $asked:expr) => {{
        let (mut query, asked) = ($query, $asked);
        query = if asked.retired {
            query.filter(devices::retired_at.is_not_null())
        } else {
            query.filter(devices::retired_at.is_null())
        };
        if let Some(user) = asked.user_id {
            query = query.filter(devices::user_id.eq(user));
        }
        if let Some(platform) = asked.platform {
            query = query.filter(devices::platform.eq(platform.as_str()));
        }
        match asked.q.as_ref().filter(|q| !q.as_str().is_empty()) {
            Some(q) => query.filter(devices::search_text.like(part(q.as_str()))),
            None => query,
        }
    }};
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
    let mut query = filtered!(
        devices::table.select(Row::as_select()).into_boxed::<Pg>(),
        asked
    );
    if let Some(id) = after {
        query = query.filter(devices::id.lt(id));
    }
    let rows = query
        .order(devices::id.desc())
        .limit(limit)
        .load(connection)?;
    rows.into_iter().map(Row::shown).collect()
}

/// How many devices match.
///
/// # Errors
/// When the database is away.
pub fn count(connection: &mut PgConnection, asked: &ListQuery) -> Result<i64, DbError> {
    let query = devices::table
        .select(diesel::dsl::count_star())
        .into_boxed::<Pg>();
    Ok(filtered!(query, asked).get_result(connection)?)
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
    row.map(Row::shown).transpose()
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
    row.map(Row::shown).transpose()
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
    // Planned anew each time: a plan from when there were few devices reads an index from end to end.
    let rows: Vec<Row> = diesel::sql_query(
        "SELECT * FROM devices
         WHERE retired_at IS NULL AND (lower(serial_number) = lower($1) OR device_id = $2)
         ORDER BY id FOR NO KEY UPDATE",
    )
    .bind::<Nullable<Text>, _>(serial_number.map(SerialNumber::as_str))
    .bind::<Nullable<Text>, _>(device_id.map(DeviceId::as_str))
    .load(connection)?;
    rows.into_iter().map(Row::shown).collect()
}

/// Retires a device that is held: its row stays, and its user may hold another one.
///
/// # Errors
/// When the database is away.
pub fn retire(connection: &mut PgConnection, id: Uuid, now: DateTime<Utc>) -> Result<(), DbError> {
    Prepared::new(
        "WITH retired AS (
            UPDATE devices SET retired_at = $2 WHERE id = $1 AND retired_at IS NULL RETURNING user_id
         )
         UPDATE user_activity a SET device_count = a.device_count - 1 FROM retired r WHERE a.user_id = r.user_id",
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
    let retired: Vec<Retired> = diesel::sql_query(
        "WITH held AS (
            SELECT id FROM devices WHERE user_id = $1 AND retired_at IS NULL ORDER BY id FOR NO KEY UPDATE
         ), retired AS (
            UPDATE devices d SET retired_at = $2 FROM held WHERE d.id = held.id AND d.retired_at IS NULL RETURNING d.id
         ), counted AS (
            UPDATE user_activity SET device_count = device_count - (SELECT count(*) FROM retired) WHERE user_id = $1
         )
         SELECT id FROM retired ORDER BY id",
    )
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
    diesel::sql_query(
        "WITH held AS (SELECT id FROM devices WHERE user_id = $1 ORDER BY id FOR NO KEY UPDATE)
         UPDATE devices d SET serial_number = NULL, device_id = d.id::text, model = NULL, os_version = NULL
         FROM held WHERE d.id = held.id",
    )
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
    rows.into_iter().map(Row::shown).collect()
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
