//! Settings in the database.

use diesel::{dsl::exists, prelude::*};
use uuid::Uuid;

use super::domain::{Applied, Confirmation, Content, Kind, Registration, Reminder, read_stored};
use crate::{
    db::{DbError, stored},
    schema::{group_members, setting_groups, setting_users, setting_versions, settings},
};

fn read<C: Content>(body: serde_json::Value) -> Result<C, DbError> {
    read_stored(body).map_err(DbError::Stored)
}

/// The settings that apply to a user now: of each kind the first custom one whose distribution holds the
/// user, else the default. One statement.
///
/// # Errors
/// When the database is away.
pub fn applied(connection: &mut PgConnection, user: Uuid) -> Result<Applied, DbError> {
    let directly = setting_users::table
        .filter(setting_users::setting_id.eq(settings::id))
        .filter(setting_users::user_id.eq(user));
    let by_group = setting_groups::table
        .inner_join(group_members::table.on(group_members::group_id.eq(setting_groups::group_id)))
        .filter(setting_groups::setting_id.eq(settings::id))
        .filter(group_members::user_id.eq(user));
    let rows: Vec<(String, Uuid, serde_json::Value)> = settings::table
        .inner_join(setting_versions::table)
        .filter(
            settings::is_default
                .or(exists(directly))
                .or(exists(by_group)),
        )
        .distinct_on(settings::kind)
        .order((settings::kind, settings::priority, settings::id))
        .select((settings::kind, settings::version_id, setting_versions::body))
        .load(connection)?;
    let mut applied = Applied::default();
    for (kind, version, body) in rows {
        match stored(&kind, Kind::from_name)? {
            Kind::Registration => {
                applied.registration = read(body)?;
                applied.registration_id = Some(version);
            }
            Kind::Reminder => applied.reminder = read::<Reminder>(body)?,
            Kind::Confirmation => applied.confirmation = read::<Confirmation>(body)?.enabled,
        }
    }
    Ok(applied)
}

/// The registration setting as it was when an invitation was sent with it; the defaults for one that was
/// sent before there were settings.
///
/// # Errors
/// When the database is away.
pub fn registration(
    connection: &mut PgConnection,
    version: Option<Uuid>,
) -> Result<Registration, DbError> {
    let Some(version) = version else {
        return Ok(Registration::default());
    };
    let body = setting_versions::table
        .find(version)
        .select(setting_versions::body)
        .first(connection)?;
    read(body)
}

/// Registration settings by version, each read or not.
///
/// # Errors
/// When the database is away.
pub fn registrations(
    connection: &mut PgConnection,
    versions: &[Uuid],
) -> Result<Vec<(Uuid, Result<Registration, DbError>)>, DbError> {
    let rows: Vec<(Uuid, serde_json::Value)> = setting_versions::table
        .filter(setting_versions::id.eq_any(versions))
        .select((setting_versions::id, setting_versions::body))
        .load(connection)?;
    Ok(rows
        .into_iter()
        .map(|(id, body)| (id, read(body)))
        .collect())
}

/// The version of the registration setting that is the default now.
///
/// # Errors
/// When the database is away.
pub fn default_registration(connection: &mut PgConnection) -> Result<Uuid, DbError> {
    Ok(settings::table
        .filter(settings::kind.eq(Kind::Registration.as_str()))
        .filter(settings::is_default)
        .select(settings::version_id)
        .first(connection)?)
}
