//! What applies to users, asked of the database.

use std::collections::HashMap;

use diesel::{
    dsl::exists,
    pg::PgRowByRowLoadingMode,
    prelude::*,
    sql_types::{Array, Bool, Int4, Jsonb, Nullable, Text},
};
use uuid::Uuid;

use super::{
    columns::{read, shown_id, shown_priority},
    domain::{Applied, Confirmation, Content, Kind, Reminder},
    reach::{SettingReason, Source, Sourced, UserSettings},
    rules::{Custom, Rules, Which},
};
use crate::{
    db::{DbError, text_enum::text_enum},
    model::identity::GroupRef,
    outbox::registrations::ReadVersion,
    schema::{group_members, setting_groups, setting_users, setting_versions, settings},
    secrets::keys::KeyRing,
};

text_enum!(Kind);

/// The settings that apply to a user now: of each kind the first custom one whose distribution holds the
/// user, else the default. One statement.
///
/// # Errors
/// When the database is away.
pub fn applied(
    connection: &mut PgConnection,
    keys: &KeyRing,
    user: Uuid,
) -> Result<Applied, DbError> {
    let directly = setting_users::table
        .filter(setting_users::setting_id.eq(settings::id))
        .filter(setting_users::user_id.eq(user));
    let by_group = setting_groups::table
        .inner_join(group_members::table.on(group_members::group_id.eq(setting_groups::group_id)))
        .filter(setting_groups::setting_id.eq(settings::id))
        .filter(group_members::user_id.eq(user));
    let rows: Vec<(Kind, Uuid, serde_json::Value)> = settings::table
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
        match kind {
            Kind::Registration => {
                applied.registration = read(keys, version, body)?;
                applied.registration_id = Some(version);
            }
            Kind::Reminder => applied.reminder = read::<Reminder>(keys, version, body)?,
            Kind::Confirmation => {
                applied.confirmation = read::<Confirmation>(keys, version, body)?.enabled;
            }
        }
    }
    Ok(applied)
}

/// Registration settings by version.
///
/// # Errors
/// When the database is away.
pub fn registrations(
    connection: &mut PgConnection,
    keys: &KeyRing,
    versions: &[Uuid],
) -> Result<Vec<ReadVersion>, DbError> {
    let rows: Vec<(Uuid, serde_json::Value)> = setting_versions::table
        .filter(setting_versions::id.eq_any(versions))
        .select((setting_versions::id, setting_versions::body))
        .load(connection)?;
    Ok(rows
        .into_iter()
        .map(|(id, body)| (id, read(keys, id, body)))
        .collect())
}

/// The version of the registration setting that is the default now.
///
/// # Errors
/// When the database is away.
pub fn default_registration(connection: &mut PgConnection) -> Result<Uuid, DbError> {
    Ok(settings::table
        .filter(settings::kind.eq(Kind::Registration))
        .filter(settings::is_default)
        .select(settings::version_id)
        .first(connection)?)
}

/// Every setting that matters while inviting. One statement.
///
/// # Errors
/// When the database is away.
pub fn rules(connection: &mut PgConnection, keys: &KeyRing) -> Result<Rules, DbError> {
    type Row = (Kind, Uuid, bool, Uuid, serde_json::Value);
    let rows: Vec<Row> = settings::table
        .inner_join(setting_versions::table)
        .filter(settings::kind.ne(Kind::Reminder))
        .order((settings::kind, settings::priority, settings::id))
        .select((
            settings::kind,
            settings::id,
            settings::is_default,
            settings::version_id,
            setting_versions::body,
        ))
        .load(connection)?;
    let mut rules = Rules {
        registrations: Vec::new(),
        confirmations: Vec::new(),
        custom: Vec::new(),
    };
    for (kind, id, is_default, version, body) in rows {
        let is_confirmation = kind == Kind::Confirmation;
        let at = if is_confirmation {
            let confirmation: Confirmation = read(keys, version, body)?;
            rules.confirmations.push(confirmation.enabled);
            rules.confirmations.len()
        } else {
            let registration = read(keys, version, body)?;
            rules.registrations.push((Some(version), registration));
            rules.registrations.len()
        };
        if !is_default {
            rules.custom.push(Custom {
                id,
                is_confirmation,
                at: u32::try_from(at - 1).unwrap_or(u32::MAX),
            });
        }
    }
    Ok(rules)
}

#[derive(QueryableByName)]
struct WhichRow {
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    user_id: Uuid,
    #[diesel(sql_type = Nullable<Int4>)]
    registration: Option<i32>,
    #[diesel(sql_type = Nullable<Int4>)]
    confirmation: Option<i32>,
}

/// Tells `take` which of the rules apply to those of these users whom a custom setting holds; to the others
/// the defaults apply. One statement, and none where there are no custom settings. The planner must know how
/// many users there are: [`CUSTOM_PLAN`](crate::db::CUSTOM_PLAN).
///
/// # Errors
/// When the database is away.
pub fn which(
    connection: &mut PgConnection,
    rules: &Rules,
    users: &[Uuid],
    mut take: impl FnMut(Uuid, Which),
) -> Result<(), DbError> {
    if rules.custom.is_empty() || users.is_empty() {
        return Ok(());
    }
    let custom = || rules.custom.iter();
    let rows = diesel::sql_query(include_str!("sql/which.sql"))
        .bind::<Array<diesel::sql_types::Uuid>, _>(custom().map(|c| c.id).collect::<Vec<_>>())
        .bind::<Array<Bool>, _>(custom().map(|c| c.is_confirmation).collect::<Vec<_>>())
        .bind::<Array<Int4>, _>(
            custom()
                .map(|c| i32::try_from(c.at).unwrap_or(i32::MAX))
                .collect::<Vec<_>>(),
        )
        .bind::<Array<diesel::sql_types::Uuid>, _>(users)
        .load_iter::<WhichRow, PgRowByRowLoadingMode>(connection)?;
    let defaults = rules.defaults();
    let place = |found: Option<i32>, default| {
        found.map_or(default, |at| u32::try_from(at).unwrap_or(default))
    };
    for row in rows {
        let row = row?;
        let which = Which {
            registration: place(row.registration, defaults.registration),
            confirmation: place(row.confirmation, defaults.confirmation),
        };
        take(row.user_id, which);
    }
    Ok(())
}

/// Which settings apply to members of these groups who are in no other one, by the groups' names; where the defaults
/// do, a name is missing. One statement, and none where there are no custom settings.
///
/// # Errors
/// When the database is away.
pub fn which_by_group(
    connection: &mut PgConnection,
    rules: &Rules,
    names: &[String],
) -> Result<HashMap<String, Which>, DbError> {
    if rules.custom.is_empty() || names.is_empty() {
        return Ok(HashMap::new());
    }
    #[derive(QueryableByName)]
    struct Held {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = diesel::sql_types::Uuid)]
        setting: Uuid,
    }
    let held: Vec<Held> = diesel::sql_query(include_str!("sql/which_by_group.sql"))
        .bind::<Array<Text>, _>(names)
        .load(connection)?;
    let mut found = HashMap::new();
    for Held { name, setting } in held {
        if let Some(custom) = rules.custom.iter().find(|custom| custom.id == setting) {
            let which = found.entry(name).or_insert_with(|| rules.defaults());
            *which = which.min(rules.by(custom));
        }
    }
    Ok(found)
}

#[derive(QueryableByName)]
struct SourceRow {
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    id: Uuid,
    #[diesel(sql_type = Text)]
    kind: Kind,
    #[diesel(sql_type = Bool)]
    is_default: bool,
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = Nullable<Int4>)]
    priority: Option<i32>,
    #[diesel(sql_type = diesel::sql_types::Uuid)]
    version_id: Uuid,
    #[diesel(sql_type = Jsonb)]
    body: serde_json::Value,
    #[diesel(sql_type = Bool)]
    names_user: bool,
    #[diesel(sql_type = Nullable<diesel::sql_types::Uuid>)]
    group_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    group_name: Option<String>,
}

impl SourceRow {
    fn sourced<C: Content>(self, keys: &KeyRing) -> Result<Sourced<C>, DbError> {
        let group = self
            .group_id
            .zip(self.group_name)
            .filter(|_| !self.names_user);
        let reason = match (self.is_default, &group) {
            (true, _) => SettingReason::Default,
            (false, Some(_)) => SettingReason::Group,
            (false, None) => SettingReason::User,
        };
        Ok(Sourced {
            content: read(keys, self.version_id, self.body)?,
            source: Source {
                id: shown_id(self.is_default, self.id),
                name: self.name,
                priority: shown_priority(self.priority),
                reason,
                group: group.map(|(id, name)| GroupRef { id, name }),
            },
        })
    }
}

/// What [`applied`] finds, and why; `None` if there is no such user.
///
/// # Errors
/// When the database is away.
pub fn with_sources(
    connection: &mut PgConnection,
    keys: &KeyRing,
    user: Uuid,
) -> Result<Option<UserSettings>, DbError> {
    let rows: Vec<SourceRow> = diesel::sql_query(include_str!("sql/with_sources.sql"))
        .bind::<diesel::sql_types::Uuid, _>(user)
        .load(connection)?;
    let (mut registration, mut reminder, mut confirmation) = (None, None, None);
    for row in rows {
        match row.kind {
            Kind::Registration => registration = Some(row.sourced(keys)?),
            Kind::Reminder => reminder = Some(row.sourced(keys)?),
            Kind::Confirmation => confirmation = Some(row.sourced(keys)?),
        }
    }
    Ok(match (registration, reminder, confirmation) {
        (Some(registration), Some(reminder), Some(confirmation)) => Some(UserSettings {
            registration,
            reminder,
            confirmation,
        }),
        _ => None,
    })
}
