//! The reminder settings, for many users at once.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, Int4, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::domain::{Kind, Reminder, read_stored};
use crate::{
    db::DbError,
    schema::{setting_versions, settings},
};

/// What a reminder setting says.
#[derive(Debug, Clone)]
pub struct ReminderRule {
    pub reminder: Reminder,
    /// Since when it says so.
    pub valid_from: DateTime<Utc>,
}

/// Every reminder setting.
#[derive(Debug, Default)]
pub struct ReminderRules {
    /// In the order of application: the default is the last.
    rules: Vec<ReminderRule>,
    /// The custom ones, each with its place.
    custom: Vec<(Uuid, i32)>,
}

/// Reads them. One statement.
///
/// # Errors
/// When one is not what this version writes; when the database is away.
pub fn load(connection: &mut PgConnection) -> Result<ReminderRules, DbError> {
    type Row = (Uuid, bool, serde_json::Value, DateTime<Utc>);
    let rows: Vec<Row> = settings::table
        .inner_join(setting_versions::table)
        .filter(settings::kind.eq(Kind::Reminder))
        .order((settings::priority, settings::id))
        .select((
            settings::id,
            settings::is_default,
            setting_versions::body,
            setting_versions::created_at,
        ))
        .load(connection)?;
    let mut all = ReminderRules::default();
    for ((id, is_default, body, valid_from), place) in rows.into_iter().zip(0_i32..) {
        all.rules.push(ReminderRule {
            reminder: read_stored::<Reminder>(body).map_err(DbError::Stored)?,
            valid_from,
        });
        if !is_default {
            all.custom.push((id, place));
        }
    }
    Ok(all)
}

#[derive(QueryableByName)]
struct Held {
    #[diesel(sql_type = SqlUuid)]
    user_id: Uuid,
    #[diesel(sql_type = Int4)]
    place: i32,
}

impl ReminderRules {
    /// Whether anybody may be reminded at this time.
    pub fn any_at(&self, now: DateTime<Utc>) -> bool {
        self.rules.iter().any(|ReminderRule { reminder, .. }| {
            reminder.enabled
                && reminder.start_at.is_none_or(|start| start <= now)
                && reminder.end_at.is_none_or(|end| now < end)
        })
    }

    /// What applies to whom no custom setting holds.
    pub fn fallback(&self) -> Option<&ReminderRule> {
        self.rules.last()
    }

    /// What applies to those of these users whom a custom setting holds. One statement, and none where there are no
    /// custom settings. The planner must know how many users there are: [`CUSTOM_PLAN`](crate::db::CUSTOM_PLAN).
    ///
    /// # Errors
    /// When the database is away.
    pub fn custom_of(
        &self,
        connection: &mut PgConnection,
        users: &[Uuid],
    ) -> Result<HashMap<Uuid, &ReminderRule>, DbError> {
        if self.custom.is_empty() || users.is_empty() {
            return Ok(HashMap::new());
        }
        let (ids, places): (Vec<Uuid>, Vec<i32>) = self.custom.iter().copied().unzip();
        let held: Vec<Held> = diesel::sql_query(include_str!("sql/reminders_of.sql"))
            .bind::<Array<SqlUuid>, _>(ids)
            .bind::<Array<Int4>, _>(places)
            .bind::<Array<SqlUuid>, _>(users)
            .load(connection)?;
        Ok(held
            .into_iter()
            .filter_map(|Held { user_id, place }| {
                let rule = self.rules.get(usize::try_from(place).ok()?)?;
                Some((user_id, rule))
            })
            .collect())
    }
}
