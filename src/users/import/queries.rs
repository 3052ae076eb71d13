//! Many users at once, set-wise: a chunk of a file takes the same number of statements whatever it holds.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, Bool, Jsonb, Nullable, Text, Timestamptz},
};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::holders::clashing;
use crate::{
    clock::Clock, db::DbError, model::identity::Source, schema::users, users::profile::Profile,
};

type SqlUuid = diesel::sql_types::Uuid;

/// A user as it is to be stored.
pub struct Stored {
    pub id: Uuid,
    pub profile: Profile,
    /// `None`: none, or the one that is there.
    pub password_hash: Option<SecretString>,
}

/// The columns of many users, for `unnest`.
macro_rules! bound {
    ($query:expr, $users:expr) => {{
        let users: &[Stored] = $users;
        macro_rules! column {
            ($field:ident) => {
                users
                    .iter()
                    .map(|user| user.profile.$field.as_str())
                    .collect::<Vec<_>>()
            };
            ($field:ident?) => {
                users
                    .iter()
                    .map(|user| user.profile.$field.as_deref())
                    .collect::<Vec<_>>()
            };
        }
        $query
            .bind::<Array<SqlUuid>, _>(users.iter().map(|user| user.id).collect::<Vec<_>>())
            .bind::<Array<Text>, _>(column!(username))
            .bind::<Array<Nullable<Text>>, _>(column!(email?))
            .bind::<Array<Text>, _>(column!(first_name))
            .bind::<Array<Text>, _>(column!(last_name))
            .bind::<Array<Text>, _>(column!(display_name))
            .bind::<Array<Nullable<Text>>, _>(column!(locale?))
            .bind::<Array<Nullable<Text>>, _>(column!(time_zone?))
            .bind::<Array<Nullable<Text>>, _>(column!(managed_apple_account?))
            .bind::<Array<Bool>, _>(
                users
                    .iter()
                    .map(|user| user.profile.enabled)
                    .collect::<Vec<_>>(),
            )
            .bind::<Array<Jsonb>, _>(
                users
                    .iter()
                    .map(|user| serde_json::Value::Object(user.profile.attributes.clone()))
                    .collect::<Vec<_>>(),
            )
            .bind::<Array<Nullable<Text>>, _>(
                users
                    .iter()
                    .map(|user| user.password_hash.as_ref().map(ExposeSecret::expose_secret))
                    .collect::<Vec<_>>(),
            )
    }};
}

#[derive(QueryableByName)]
struct Id {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Stores new users. Gives the ids of those that could be: somebody may have been quicker with a name
/// or an address.
///
/// # Errors
/// When the database is away.
pub fn insert(
    connection: &mut PgConnection,
    users: &[Stored],
    now: DateTime<Utc>,
) -> Result<HashSet<Uuid>, DbError> {
    if users.is_empty() {
        return Ok(HashSet::new());
    }
    let query = diesel::sql_query(
        "INSERT INTO users (id, username, email, first_name, last_name, display_name, locale, time_zone, \
         managed_apple_account, enabled, attributes, password_hash, source, created_at, updated_at) \
         SELECT n.*, $13, $14, $14 FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS n \
         ON CONFLICT DO NOTHING RETURNING id",
    );
    let stored: Vec<Id> = bound!(query, users)
        .bind::<Text, _>(Source::Local.as_str())
        .bind::<Timestamptz, _>(now)
        .load(connection)?;
    let mut stored: HashSet<Uuid> = stored.into_iter().map(|row| row.id).collect();
    let ids: Vec<Uuid> = stored.iter().copied().collect();
    let clashing = clashing(connection, &ids)?;
    if !clashing.is_empty() {
        stored.retain(|id| !clashing.contains(id));
        diesel::delete(users::table.filter(users::id.eq_any(clashing))).execute(connection)?;
    }
    Ok(stored)
}

/// Stores changed users; a password only where there is a new one.
///
/// # Errors
/// A violated constraint; `Unavailable` when somebody was quicker with a name; or the database is away.
pub fn update(
    connection: &mut PgConnection,
    users: &[Stored],
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    if users.is_empty() {
        return Ok(());
    }
    let query = diesel::sql_query(
        "UPDATE users u SET username = n.username, email = n.email, first_name = n.first_name, \
         last_name = n.last_name, display_name = n.display_name, locale = n.locale, time_zone = n.time_zone, \
         managed_apple_account = n.managed_apple_account, enabled = n.enabled, attributes = n.attributes, \
         password_hash = coalesce(n.password_hash, u.password_hash), updated_at = $13 \
         FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) AS n (id, username, email, first_name, \
         last_name, display_name, locale, time_zone, managed_apple_account, enabled, attributes, password_hash) \
         WHERE u.id = n.id",
    );
    let ids: Vec<Uuid> = users.iter().map(|user| user.id).collect();
    let before = clashing(connection, &ids)?;
    bound!(query, users)
        .bind::<Timestamptz, _>(now)
        .execute(connection)?;
    if !clashing(connection, &ids)?.is_subset(&before) {
        return Err(others_were_quicker());
    }
    Ok(())
}

/// Somebody else has taken a name since it was found free.
pub fn others_were_quicker() -> DbError {
    DbError::Unavailable("others were quicker with a name or an address".into())
}

type ProfileRow = (
    Uuid,
    String,
    Option<String>,
    String,
    String,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    bool,
    serde_json::Value,
);

/// The columns of a [`ProfileRow`].
macro_rules! profile_columns {
    () => {
        (
            users::id,
            users::username,
            users::email,
            users::first_name,
            users::last_name,
            users::display_name,
            users::locale,
            users::time_zone,
            users::managed_apple_account,
            users::enabled,
            users::attributes,
        )
    };
}

/// The profiles of users, held until the end of the transaction.
///
/// # Errors
/// When the database is away.
pub fn lock_profiles(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Profile>, DbError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<ProfileRow> = users::table
        .filter(users::id.eq_any(ids))
        // Two imports that lock in one order do not deadlock.
        .order(users::id)
        .select(profile_columns!())
        .for_update()
        .load(connection)?;
    rows.into_iter().map(read).collect()
}

/// The profiles of users, as they are just now.
///
/// # Errors
/// When the database is away.
pub fn profiles(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, Profile>, DbError> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<ProfileRow> = users::table
        .filter(users::id.eq_any(ids))
        .select(profile_columns!())
        .load(connection)?;
    rows.into_iter().map(read).collect()
}

fn read(row: ProfileRow) -> Result<(Uuid, Profile), DbError> {
    let serde_json::Value::Object(attributes) = row.10 else {
        return Err(DbError::Stored("users.attributes".into()));
    };
    let profile = Profile {
        username: row.1,
        email: row.2,
        first_name: row.3,
        last_name: row.4,
        display_name: row.5,
        locale: row.6,
        time_zone: row.7,
        managed_apple_account: row.8,
        enabled: row.9,
        attributes,
    };
    Ok((row.0, profile))
}

/// Which of these users are not in one of their groups yet; a group may not be there yet either.
///
/// # Errors
/// When the database is away.
pub fn joining(
    connection: &mut PgConnection,
    memberships: &[(Uuid, String)],
) -> Result<HashSet<Uuid>, DbError> {
    if memberships.is_empty() {
        return Ok(HashSet::new());
    }
    let (members, names): (Vec<Uuid>, Vec<&str>) = memberships
        .iter()
        .map(|(id, name)| (*id, name.as_str()))
        .unzip();
    let joining: Vec<Id> = diesel::sql_query(
        "SELECT n.member AS id FROM unnest($1, $2) AS n (member, name) WHERE NOT EXISTS \
         (SELECT FROM group_members m JOIN groups g ON g.id = m.group_id WHERE m.user_id = n.member \
         AND lower(g.name) = lower(n.name COLLATE \"und-x-icu\"))",
    )
    .bind::<Array<SqlUuid>, _>(members)
    .bind::<Array<Text>, _>(names)
    .load(connection)?;
    Ok(joining.into_iter().map(|row| row.id).collect())
}

/// Puts users into groups by the groups' names; makes those that are missing. Gives the users who were
/// not in one of their groups yet.
///
/// # Errors
/// When the database is away.
pub fn join_groups(
    connection: &mut PgConnection,
    clock: &Clock,
    memberships: &[(Uuid, &str)],
) -> Result<HashSet<Uuid>, DbError> {
    if memberships.is_empty() {
        return Ok(HashSet::new());
    }
    let mut names: Vec<&str> = memberships.iter().map(|(_, name)| *name).collect();
    names.sort_unstable();
    names.dedup();
    let now = clock.now();
    let ids: Vec<Uuid> = names.iter().map(|_| clock.new_id()).collect();
    diesel::sql_query(
        "INSERT INTO groups (id, name, created_at, updated_at) \
         SELECT n.id, n.name, $3, $3 FROM unnest($1, $2) AS n (id, name) \
         WHERE NOT EXISTS (SELECT FROM groups g WHERE lower(g.name) = lower(n.name COLLATE \"und-x-icu\")) \
         ON CONFLICT DO NOTHING",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<Text>, _>(&names)
    .bind::<Timestamptz, _>(now)
    .execute(connection)?;
    let (members, groups): (Vec<Uuid>, Vec<&str>) = memberships.iter().copied().unzip();
    let joined: Vec<Id> = diesel::sql_query(
        "INSERT INTO group_members (group_id, user_id) \
         SELECT g.id, n.member FROM unnest($1, $2) AS n (member, name) \
         JOIN groups g ON lower(g.name) = lower(n.name COLLATE \"und-x-icu\") \
         ON CONFLICT DO NOTHING RETURNING user_id AS id",
    )
    .bind::<Array<SqlUuid>, _>(members)
    .bind::<Array<Text>, _>(groups)
    .load(connection)?;
    Ok(joined.into_iter().map(|row| row.id).collect())
}
