//! Many users at once, set-wise: a chunk of a file takes the same number of statements whatever it holds.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use diesel::{
    pg::Pg,
    prelude::*,
    query_builder::{BoxedSqlQuery, SqlQuery},
    sql_types::{Array, Bool, Jsonb, Nullable, Text, Timestamptz},
};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::holders::clashing;
use crate::{
    clock::Clock,
    db::DbError,
    model::identity::Source,
    schema::users,
    users::{profile::Profile, queries::ProfileRow},
};

type SqlUuid = diesel::sql_types::Uuid;

/// A user as it is to be stored.
pub struct Stored {
    pub id: Uuid,
    pub profile: Profile,
    /// `None`: none, or the one that is there.
    pub password_hash: Option<SecretString>,
}

/// A statement to which the columns of many users are bound, each as an array.
fn bound<'a>(statement: &'static str, users: &'a [Stored]) -> BoxedSqlQuery<'a, Pg, SqlQuery> {
    fn column<'a, T>(users: &'a [Stored], of: impl Fn(&'a Stored) -> T) -> Vec<T> {
        users.iter().map(of).collect()
    }
    let text = |of: fn(&Profile) -> &str| column(users, |user| of(&user.profile));
    let optional = |of: fn(&Profile) -> Option<&str>| column(users, |user| of(&user.profile));
    let attributes = |user: &Stored| serde_json::Value::Object(user.profile.attributes.clone());
    let hash = |user: &'a Stored| user.password_hash.as_ref().map(ExposeSecret::expose_secret);
    diesel::sql_query(statement)
        .into_boxed()
        .bind::<Array<SqlUuid>, _>(column(users, |user| user.id))
        .bind::<Array<Text>, _>(text(|of| &of.username))
        .bind::<Array<Nullable<Text>>, _>(optional(|of| of.email.as_deref()))
        .bind::<Array<Text>, _>(text(|of| &of.first_name))
        .bind::<Array<Text>, _>(text(|of| &of.last_name))
        .bind::<Array<Text>, _>(text(|of| &of.display_name))
        .bind::<Array<Nullable<Text>>, _>(optional(|of| of.locale.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(optional(|of| of.time_zone.as_deref()))
        .bind::<Array<Nullable<Text>>, _>(optional(|of| of.managed_apple_account.as_deref()))
        .bind::<Array<Bool>, _>(column(users, |user| user.profile.enabled))
        .bind::<Array<Jsonb>, _>(column(users, attributes))
        .bind::<Array<Nullable<Text>>, _>(column(users, hash))
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
    let stored: Vec<Id> = bound(include_str!("sql/insert.sql"), users)
        .bind::<Text, _>(Source::Local)
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
    let ids: Vec<Uuid> = users.iter().map(|user| user.id).collect();
    let before = clashing(connection, &ids)?;
    bound(include_str!("sql/update.sql"), users)
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
    let rows: Vec<(Uuid, ProfileRow)> = users::table
        .filter(users::id.eq_any(ids))
        // Two imports that lock in one order do not deadlock.
        .order(users::id)
        .select((users::id, ProfileRow::as_select()))
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
    let rows: Vec<(Uuid, ProfileRow)> = users::table
        .filter(users::id.eq_any(ids))
        .select((users::id, ProfileRow::as_select()))
        .load(connection)?;
    rows.into_iter().map(read).collect()
}

fn read((id, row): (Uuid, ProfileRow)) -> Result<(Uuid, Profile), DbError> {
    Ok((id, row.read()?))
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
    let joining: Vec<Id> = diesel::sql_query(include_str!("sql/joining.sql"))
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
    diesel::sql_query(include_str!("sql/new_groups.sql"))
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Array<Text>, _>(&names)
        .bind::<Timestamptz, _>(now)
        .execute(connection)?;
    let (members, groups): (Vec<Uuid>, Vec<&str>) = memberships.iter().copied().unzip();
    let joined: Vec<Id> = diesel::sql_query(include_str!("sql/join_groups.sql"))
        .bind::<Array<SqlUuid>, _>(members)
        .bind::<Array<Text>, _>(groups)
        .load(connection)?;
    Ok(joined.into_iter().map(|row| row.id).collect())
}
