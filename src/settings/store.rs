//! Settings as a resource: list, get, create, change, delete.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use diesel::{
    connection::SimpleConnection,
    dsl::{auto_type, count_star},
    pg::Pg,
    prelude::*,
    sql_types::{Array, BigInt, Text, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::{
    columns::{read, shown_id, shown_priority, written},
    domain::{Content, Kind},
    fields::Distribution,
    reach::LostGroup,
    resource::{Custom, DEFAULT_NAME, Setting, SettingId},
};
use crate::{
    db::{CUSTOM_PLAN, DbError},
    schema::{groups, setting_groups, setting_users, setting_versions, settings},
    secrets::keys::KeyRing,
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = settings, check_for_backend(Pg))]
struct Row {
    id: Uuid,
    version_id: Uuid,
    is_default: bool,
    name: String,
    priority: Option<i32>,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl Row {
    fn id(&self) -> SettingId {
        shown_id(self.is_default, self.id)
    }
}

/// A setting, and the row in which it is stored.
pub struct Held<C> {
    pub setting: Setting<C>,
    row: Uuid,
}

#[auto_type]
fn one(kind: Kind, id: Uuid) -> _ {
    settings::table
        .filter(settings::kind.eq(kind))
        .filter(settings::id.eq(id))
}

fn with_distribution<C: Content>(
    connection: &mut PgConnection,
    keys: &KeyRing,
    rows: Vec<(Row, serde_json::Value)>,
) -> Result<Vec<Setting<C>>, DbError> {
    let ids: Vec<Uuid> = rows.iter().map(|(row, _)| row.id).collect();
    let mut distributions: HashMap<Uuid, Distribution> = HashMap::new();
    let groups: Vec<(Uuid, Uuid)> = setting_groups::table
        .filter(setting_groups::setting_id.eq_any(&ids))
        .order(setting_groups::group_id)
        .select((setting_groups::setting_id, setting_groups::group_id))
        .load(connection)?;
    for (setting, group) in groups {
        distributions
            .entry(setting)
            .or_default()
            .group_ids
            .push(group);
    }
    let users: Vec<(Uuid, Uuid)> = setting_users::table
        .filter(setting_users::setting_id.eq_any(&ids))
        .order(setting_users::user_id)
        .select((setting_users::setting_id, setting_users::user_id))
        .load(connection)?;
    for (setting, user) in users {
        distributions
            .entry(setting)
            .or_default()
            .user_ids
            .push(user);
    }
    rows.into_iter()
        .map(|(row, body)| {
            let distribution = distributions.remove(&row.id).unwrap_or_default();
            Ok(Setting {
                id: row.id(),
                priority: shown_priority(row.priority),
                distribution: (!row.is_default).then_some(distribution),
                name: row.name,
                content: read(keys, row.version_id, body)?,
                created_at: row.created_at,
                updated_at: row.updated_at,
            })
        })
        .collect()
}

/// One page in the order of application, and one row more. `after` is the priority and id of a custom
/// setting, behind which the page begins.
///
/// # Errors
/// When the database is away.
pub fn list<C: Content>(
    connection: &mut PgConnection,
    keys: &KeyRing,
    after: Option<(i32, Uuid)>,
    limit: i64,
) -> Result<Vec<Setting<C>>, DbError> {
    let mut query = settings::table
        .inner_join(setting_versions::table)
        .filter(settings::kind.eq(C::KIND))
        .select((Row::as_select(), setting_versions::body))
        .into_boxed::<Pg>();
    if let Some((priority, id)) = after {
        query = query.filter(
            settings::is_default
                .or(settings::priority.gt(priority))
                .or(settings::priority.eq(priority).and(settings::id.gt(id))),
        );
    }
    let rows = query
        .order((settings::priority, settings::id))
        .limit(limit)
        .load(connection)?;
    with_distribution(connection, keys, rows)
}

/// How many settings of the kind there are, with the default.
///
/// # Errors
/// When the database is away.
pub fn count(connection: &mut PgConnection, kind: Kind) -> Result<i64, DbError> {
    Ok(settings::table
        .filter(settings::kind.eq(kind))
        .select(count_star())
        .get_result(connection)?)
}

fn row_of(
    connection: &mut PgConnection,
    kind: Kind,
    id: SettingId,
) -> Result<Option<Uuid>, DbError> {
    match id {
        SettingId::Custom(id) => Ok(Some(id)),
        SettingId::Default => Ok(settings::table
            .filter(settings::kind.eq(kind))
            .filter(settings::is_default)
            .select(settings::id)
            .first(connection)
            .optional()?),
    }
}

/// One setting. The default is known by no other id than its own.
///
/// # Errors
/// When the database is away.
pub fn get<C: Content>(
    connection: &mut PgConnection,
    keys: &KeyRing,
    id: SettingId,
) -> Result<Option<Setting<C>>, DbError> {
    let Some(row) = row_of(connection, C::KIND, id)? else {
        return Ok(None);
    };
    let found = one(C::KIND, row)
        .filter(settings::is_default.eq(id == SettingId::Default))
        .inner_join(setting_versions::table)
        .select((Row::as_select(), setting_versions::body))
        .load(connection)?;
    Ok(with_distribution(connection, keys, found)?.pop())
}

/// One setting, held until the end of the transaction, so that its changes take turns.
///
/// # Errors
/// When the database is away.
pub fn lock<C: Content>(
    connection: &mut PgConnection,
    keys: &KeyRing,
    id: SettingId,
) -> Result<Option<Held<C>>, DbError> {
    let Some(row) = row_of(connection, C::KIND, id)? else {
        return Ok(None);
    };
    let found: Option<Uuid> = one(C::KIND, row)
        .select(settings::id)
        .for_update()
        .first(connection)
        .optional()?;
    if found.is_none() {
        return Ok(None);
    }
    Ok(get(connection, keys, id)?.map(|setting| Held { setting, row }))
}

/// Which of these groups there are, held until the end of the transaction so that none of them is deleted
/// before; in the order of their ids.
///
/// # Errors
/// When the database is away.
pub fn hold_groups(connection: &mut PgConnection, ids: &[Uuid]) -> Result<HashSet<Uuid>, DbError> {
    let known: Vec<Uuid> = groups::table
        .filter(groups::id.eq_any(ids))
        .order(groups::id)
        .select(groups::id)
        .for_key_share()
        .load(connection)?;
    Ok(known.into_iter().collect())
}

fn add_version<C: Content>(
    connection: &mut PgConnection,
    keys: &KeyRing,
    id: Uuid,
    content: &C,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    let body = serde_json::to_value(content).map_err(|error| DbError::Stored(error.to_string()))?;
    let body = written(keys, id, body)?;
    diesel::insert_into(setting_versions::table)
        .values((
            setting_versions::id.eq(id),
            setting_versions::body.eq(body),
            setting_versions::created_at.eq(now),
        ))
        .execute(connection)?;
    Ok(())
}

/// A custom setting that is to be stored.
pub struct New<'a, C> {
    pub id: Uuid,
    /// Of what it says.
    pub version: Uuid,
    pub custom: &'a Custom,
    pub content: &'a C,
}

/// Stores a new custom setting.
///
/// # Errors
/// When the database is away.
pub fn insert<C: Content>(
    connection: &mut PgConnection,
    keys: &KeyRing,
    new: &New<'_, C>,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    add_version(connection, keys, new.version, new.content, now)?;
    diesel::insert_into(settings::table)
        .values((
            settings::id.eq(new.id),
            settings::kind.eq(C::KIND),
            settings::is_default.eq(false),
            settings::name.eq(new.custom.name.as_str()),
            settings::priority.eq(stored_priority(new.custom)),
            settings::version_id.eq(new.version),
            settings::created_at.eq(now),
            settings::updated_at.eq(now),
        ))
        .execute(connection)?;
    distribute(connection, new.id, &new.custom.distribution)
}

fn stored_priority(custom: &Custom) -> Option<i32> {
    i32::try_from(custom.priority).ok()
}

/// Stores what a setting is now. `version` is the id of what it says, if that changes: invitations that
/// were sent keep the version before.
///
/// # Errors
/// When the database is away.
pub fn update<C: Content>(
    connection: &mut PgConnection,
    keys: &KeyRing,
    held: &Held<C>,
    custom: Option<&Custom>,
    content: &C,
    (version, now): (Uuid, DateTime<Utc>),
) -> Result<(), DbError> {
    if *content != held.setting.content {
        add_version(connection, keys, version, content, now)?;
        diesel::update(settings::table.find(held.row))
            .set(settings::version_id.eq(version))
            .execute(connection)?;
    }
    diesel::update(settings::table.find(held.row))
        .set((
            settings::name.eq(custom.map_or(DEFAULT_NAME, |custom| custom.name.as_str())),
            settings::priority.eq(custom.and_then(stored_priority)),
            settings::updated_at.eq(now),
        ))
        .execute(connection)?;
    match custom {
        Some(custom) => distribute(connection, held.row, &custom.distribution),
        None => Ok(()),
    }
}

/// Makes the distribution what is asked for; rows that stay are not touched.
fn distribute(
    connection: &mut PgConnection,
    setting: Uuid,
    to: &Distribution,
) -> Result<(), DbError> {
    // A plan for any number of ids compares each row with all of them.
    connection.batch_execute(CUSTOM_PLAN)?;
    let groups = setting_groups::table
        .filter(setting_groups::setting_id.eq(setting))
        .filter(setting_groups::group_id.ne_all(&to.group_ids));
    diesel::delete(groups).execute(connection)?;
    diesel::sql_query(include_str!("sql/add_groups.sql"))
        .bind::<SqlUuid, _>(setting)
        .bind::<Array<SqlUuid>, _>(&to.group_ids)
        .execute(connection)?;
    let users = setting_users::table
        .filter(setting_users::setting_id.eq(setting))
        .filter(setting_users::user_id.ne_all(&to.user_ids));
    diesel::delete(users).execute(connection)?;
    diesel::sql_query(include_str!("sql/add_users.sql"))
        .bind::<SqlUuid, _>(setting)
        .bind::<Array<SqlUuid>, _>(&to.user_ids)
        .execute(connection)?;
    Ok(())
}

/// Deletes a custom setting. What it said stays for the invitations that were sent with it.
///
/// # Errors
/// When the database is away.
pub fn delete<C: Content>(connection: &mut PgConnection, held: &Held<C>) -> Result<(), DbError> {
    diesel::delete(settings::table.find(held.row)).execute(connection)?;
    Ok(())
}

#[derive(QueryableByName)]
struct LostRow {
    #[diesel(sql_type = Text)]
    kind: Kind,
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    user_count: i64,
}

impl From<LostRow> for LostGroup {
    fn from(row: LostRow) -> Self {
        Self {
            kind: row.kind,
            id: SettingId::Custom(row.id),
            name: row.name,
            user_count: row.user_count,
        }
    }
}

/// The settings that are distributed to a group, in the order of application, each with how many users it
/// would no longer hold without the group.
///
/// # Errors
/// When the database is away.
pub fn distributed_to(
    connection: &mut PgConnection,
    group: Uuid,
) -> Result<Vec<LostGroup>, DbError> {
    let rows: Vec<LostRow> = diesel::sql_query(include_str!("sql/distributed_to.sql"))
        .bind::<SqlUuid, _>(group)
        .load(connection)?;
    Ok(rows.into_iter().map(LostGroup::from).collect())
}
