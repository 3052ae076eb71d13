//! What is stored of a user, and how it changes.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Bool, Nullable, Text, Uuid as SqlUuid},
};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use crate::{
    db::{DbError, prepared::Prepared},
    http::error::ApiError,
    model::{identity::Source, invitation::MessageKind, wire::Fault},
    schema::{enrollments, group_members, groups, invitations, messages, users},
    users::profile::Profile,
};

/// Locks a user until the end of the transaction, so that two changes take turns.
///
/// # Errors
/// When the database is away.
pub fn lock(connection: &mut PgConnection, id: Uuid) -> Result<bool, DbError> {
    let found: Option<Uuid> = users::table
        .find(id)
        .select(users::id)
        .for_update()
        .first(connection)
        .optional()?;
    Ok(found.is_some())
}

/// Which of the two unique fields somebody else has already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    Username,
    Email,
}

/// Which of the names of user `id` another user has, as a username or as an address. Asked after the names were stored,
/// it is so until the end of the transaction: whoever stores the same names meanwhile waits for that.
///
/// # Errors
/// When the database is away.
pub fn taken(
    connection: &mut PgConnection,
    id: Uuid,
    profile: &Profile,
) -> Result<Vec<Taken>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        username: bool,
        #[diesel(sql_type = Bool)]
        email: bool,
    }
    let Row { username, email } = Prepared::new(
        include_str!("../sql/taken.sql"),
        (
            id.into_sql::<SqlUuid>(),
            profile.username.as_str().into_sql::<Text>(),
            profile.email.as_deref().into_sql::<Nullable<Text>>(),
        ),
    )
    .get_result(connection)?;
    Ok([(username, Taken::Username), (email, Taken::Email)]
        .into_iter()
        .filter_map(|(is_taken, which)| is_taken.then_some(which))
        .collect())
}

/// The field behind a violated unique index: somebody was quicker than [`taken`].
pub fn taken_by_constraint(error: &DbError) -> Option<Taken> {
    match error.constraint()? {
        "users_username_key" => Some(Taken::Username),
        "users_email_key" => Some(Taken::Email),
        _ => None,
    }
}

/// Stores a new user, unless somebody has the username or the address already.
///
/// # Errors
/// A violated constraint, or the database is away.
pub fn insert(
    connection: &mut PgConnection,
    id: Uuid,
    profile: &Profile,
    password_hash: Option<&SecretString>,
    now: DateTime<Utc>,
) -> Result<bool, DbError> {
    let rows = diesel::insert_into(users::table)
        .values((
            users::id.eq(id),
            Columns::from(profile),
            users::source.eq(Source::Local),
            users::password_hash.eq(password_hash.map(ExposeSecret::expose_secret)),
            users::created_at.eq(now),
            users::updated_at.eq(now),
        ))
        .on_conflict_do_nothing()
        .execute(connection)?;
    Ok(rows == 1)
}

/// Stores a changed profile.
///
/// # Errors
/// A violated constraint, or the database is away.
pub fn update(
    connection: &mut PgConnection,
    id: Uuid,
    profile: &Profile,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::update(users::table.find(id))
        .set((Columns::from(profile), users::updated_at.eq(now)))
        .execute(connection)?;
    Ok(())
}

/// What a profile is in the table.
#[derive(Insertable, AsChangeset)]
#[diesel(table_name = users, treat_none_as_null = true, treat_none_as_default_value = false)]
struct Columns<'a> {
    username: &'a str,
    email: Option<&'a str>,
    first_name: &'a str,
    last_name: &'a str,
    display_name: &'a str,
    locale: Option<&'a str>,
    time_zone: Option<&'a str>,
    managed_apple_account: Option<&'a str>,
    enabled: bool,
    attributes: serde_json::Value,
}

impl<'a> From<&'a Profile> for Columns<'a> {
    fn from(profile: &'a Profile) -> Self {
        Self {
            username: &profile.username,
            email: profile.email.as_deref(),
            first_name: &profile.first_name,
            last_name: &profile.last_name,
            display_name: &profile.display_name,
            locale: profile.locale.as_deref(),
            time_zone: profile.time_zone.as_deref(),
            managed_apple_account: profile.managed_apple_account.as_deref(),
            enabled: profile.enabled,
            attributes: serde_json::Value::Object(profile.attributes.clone()),
        }
    }
}

/// Adds a user to groups. Gives the ids that are no groups: then nothing should be kept.
///
/// # Errors
/// When the database is away.
pub fn join_groups(
    connection: &mut PgConnection,
    user: Uuid,
    group_ids: &[Uuid],
) -> Result<Vec<Uuid>, DbError> {
    if group_ids.is_empty() {
        return Ok(Vec::new());
    }
    let known: Vec<Uuid> = groups::table
        .filter(groups::id.eq_any(group_ids))
        .select(groups::id)
        .for_key_share()
        .load(connection)?;
    let rows: Vec<_> = known
        .iter()
        .map(|group| {
            (
                group_members::group_id.eq(group),
                group_members::user_id.eq(user),
            )
        })
        .collect();
    diesel::insert_into(group_members::table)
        .values(rows)
        .on_conflict_do_nothing()
        .execute(connection)?;
    Ok(group_ids
        .iter()
        .filter(|id| !known.contains(id))
        .copied()
        .collect())
}

/// Stores a password's hash.
///
/// # Errors
/// When the database is away.
pub fn set_password(
    connection: &mut PgConnection,
    id: Uuid,
    hash: &SecretString,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::update(users::table.find(id))
        .set((
            users::password_hash.eq(hash.expose_secret()),
            users::updated_at.eq(now),
        ))
        .execute(connection)?;
    Ok(())
}

/// Deletes a user; invitations, devices and messages stay without the person, and without what servers said of the
/// address.
///
/// # Errors
/// When the database is away.
pub fn delete(connection: &mut PgConnection, id: Uuid) -> Result<(), DbError> {
    // Two statements: Postgres reads all messages for an OR of these. Whoever is writing results now holds messages
    // and waits for their invitations, which the caller may hold: so nobody is waited for here.
    let invitations = invitations::table
        .filter(invitations::user_id.eq(id))
        .select(invitations::id.nullable());
    let mut about: Vec<Uuid> = messages::table
        .filter(messages::invitation_id.eq_any(invitations))
        .select(messages::id)
        .for_no_key_update()
        .skip_locked()
        .load(connection)?;
    let enrollments = enrollments::table
        .filter(enrollments::user_id.eq(id))
        .select(enrollments::id.nullable());
    let confirmations: Vec<Uuid> = messages::table
        .filter(messages::enrollment_id.eq_any(enrollments))
        .filter(messages::kind.eq(MessageKind::Confirmation))
        .select(messages::id)
        .for_no_key_update()
        .skip_locked()
        .load(connection)?;
    about.extend(confirmations);
    diesel::update(messages::table.filter(messages::id.eq_any(about)))
        .set(messages::reason.eq(None::<String>))
        .execute(connection)?;
    diesel::delete(users::table.find(id)).execute(connection)?;
    Ok(())
}

/// A 409 that names the fields.
pub fn already_taken(fields: &[Taken]) -> ApiError {
    let faults = fields
        .iter()
        .map(|field| match field {
            Taken::Username => Fault::new(
                "/username",
                "taken",
                "another user has this username or e-mail address",
            ),
            Taken::Email => Fault::new(
                "/email",
                "taken",
                "another user has this e-mail address or username",
            ),
        })
        .collect();
    ApiError::conflict(
        "already_exists",
        "Another user has this username or e-mail address (upper and lower case are the same).",
        faults,
    )
}

/// A violated unique index is a 409 like any other clash; all else is as usual.
pub fn stored_or_taken(error: DbError) -> ApiError {
    match taken_by_constraint(&error) {
        Some(field) => already_taken(&[field]),
        None => error.into(),
    }
}
