//! Users in the database.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    pg::Pg,
    prelude::*,
    sql_types::{Bool, Nullable, Text},
};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::domain::{PinLife, Profile, Sort, User};
use crate::{
    db::{
        DbError,
        keyset::{Beyond, Limited},
        stored,
    },
    guessing::policy,
    http::{error::ApiError, paging::Position},
    model::{
        identity::{GroupRef, Source},
        invitation::{InviteStatus, Method, pin_expires_at},
        wire::Fault,
    },
    schema::{
        enrollments, group_members, groups, guesses, invitations, messages, user_activity, users,
    },
    selection::{
        domain::UserFilter,
        queries::{filtered, joined},
    },
};

type Row = (
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
    String,
    serde_json::Value,
    bool,
    DateTime<Utc>,
    DateTime<Utc>,
    DateTime<Utc>,
    i32,
    Option<Newest>,
);

/// Of a user's newest invitation.
type Newest = (
    String,
    DateTime<Utc>,
    String,
    Option<DateTime<Utc>>,
    i16,
    Option<DateTime<Utc>>,
    i16,
    i32,
);

macro_rules! user_columns {
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
            users::source,
            users::attributes,
            users::password_hash.is_not_null(),
            users::created_at,
            users::updated_at,
            user_activity::last_invited_at,
            user_activity::device_count,
            (
                invitations::state,
                invitations::expires_at,
                invitations::method,
                invitations::pin_issued_at,
                invitations::pin_lifetime_days,
                invitations::pin_locked_until,
                invitations::pin_length,
                invitations::pin_tries,
            )
                .nullable(),
        )
    };
}

fn shown(
    row: Row,
    now: DateTime<Utc>,
    groups: &mut HashMap<Uuid, Vec<GroupRef>>,
) -> Result<User, DbError> {
    let (
        id,
        username,
        email,
        first_name,
        last_name,
        display_name,
        locale,
        time_zone,
        managed_apple_account,
        enabled,
        source,
        attributes,
        has_password,
        created_at,
        updated_at,
        last_invited_at,
        device_count,
        newest,
    ) = row;
    let serde_json::Value::Object(attributes) = attributes else {
        return Err(DbError::Stored("users.attributes".into()));
    };
    let invite_status = invite_status(newest.as_ref(), now);
    let pin = newest
        .filter(|_| invite_status == InviteStatus::Pending)
        .map(pin_life)
        .transpose()?
        .flatten();
    Ok(User {
        id,
        username,
        email,
        first_name,
        last_name,
        display_name,
        locale,
        time_zone,
        managed_apple_account,
        enabled,
        source: stored(&source, Source::from_name)?,
        groups: groups.remove(&id).unwrap_or_default(),
        attributes,
        has_password,
        invite_status,
        last_invited_at: Some(last_invited_at).filter(|at| *at > DateTime::UNIX_EPOCH),
        pin_status: pin.map(|pin| pin.status(now)),
        pin_issued_at: pin.map(|pin| pin.issued_at),
        pin_expires_at: pin.map(|pin| pin.expires_at),
        device_count: device_count.into(),
        created_at,
        updated_at,
    })
}

/// Right to the second, whether or not anything has marked the invitation as expired yet.
fn invite_status(newest: Option<&Newest>, now: DateTime<Utc>) -> InviteStatus {
    let Some((state, expires_at, ..)) = newest else {
        return InviteStatus::NotInvited;
    };
    match state.as_str() {
        "pending" if *expires_at > now => InviteStatus::Pending,
        "completed" => InviteStatus::Completed,
        _ => InviteStatus::Expired,
    }
}

/// The PIN of an invitation that has one and issued it.
fn pin_life(newest: Newest) -> Result<Option<PinLife>, DbError> {
    let (_, expires_at, method, issued_at, lifetime_days, locked_until, digits, tries) = newest;
    let method = stored(&method, Method::from_name)?;
    let expires_at = pin_expires_at(method, issued_at, lifetime_days, expires_at);
    Ok(issued_at
        .zip(expires_at)
        .map(|(issued_at, expires_at)| PinLife {
            issued_at,
            expires_at,
            locked_until,
            is_used_up: policy::is_used_up(digits, tries),
        }))
}

/// One page in the wanted order, and one row more.
///
/// # Errors
/// When the database is away.
pub fn list(
    connection: &mut PgConnection,
    filter: &UserFilter,
    sort: Sort,
    after: Option<&Position>,
    limit: i64,
    now: DateTime<Utc>,
) -> Result<Vec<User>, DbError> {
    let query = filtered!(
        joined().select(user_columns!()).into_boxed::<Pg>(),
        filter,
        now
    );
    macro_rules! ordered {
        ($column:expr, $tie:expr, $descending:expr, $read:expr) => {{
            let mut query = query;
            if let Some(position) = after {
                let value = $read(&position.key)?;
                query = query.filter(Beyond {
                    column: $column,
                    tie: $tie,
                    descending: $descending,
                    value,
                    id: position.id,
                });
            }
            let query = if $descending {
                query.order(($column.desc(), $tie.desc()))
            } else {
                query.order(($column.asc(), $tie.asc()))
            };
            Limited::new(query, limit).load::<Row>(connection)?
        }};
    }
    let text = |key: &str| Ok::<_, DbError>(key.to_owned());
    let time = |key: &str| {
        key.parse::<DateTime<Utc>>()
            .map_err(|_| DbError::Stored("cursor".into()))
    };
    use user_activity::{last_invited_at, user_id};
    use users::{created_at, display_name, email_sort, id, username};
    let rows = match sort {
        Sort::DisplayName => ordered!(display_name, id, false, text),
        Sort::DisplayNameDescending => ordered!(display_name, id, true, text),
        Sort::Username => ordered!(username, id, false, text),
        Sort::UsernameDescending => ordered!(username, id, true, text),
        Sort::Email => ordered!(email_sort, id, false, text),
        Sort::EmailDescending => ordered!(email_sort, id, true, text),
        Sort::CreatedAt => ordered!(created_at, id, false, time),
        Sort::CreatedAtDescending => ordered!(created_at, id, true, time),
        Sort::LastInvitedAt => ordered!(last_invited_at, user_id, false, time),
        Sort::LastInvitedAtDescending => ordered!(last_invited_at, user_id, true, time),
    };
    with_groups(connection, rows, now)
}

/// Where a page that ends with this user ended.
pub fn position(user: &User, sort: Sort) -> Position {
    let key = match sort {
        Sort::DisplayName | Sort::DisplayNameDescending => user.display_name.clone(),
        Sort::Username | Sort::UsernameDescending => user.username.clone(),
        Sort::Email | Sort::EmailDescending => user.email.clone().unwrap_or_default(),
        Sort::CreatedAt | Sort::CreatedAtDescending => user.created_at.to_rfc3339(),
        Sort::LastInvitedAt | Sort::LastInvitedAtDescending => user
            .last_invited_at
            .unwrap_or(DateTime::UNIX_EPOCH)
            .to_rfc3339(),
    };
    Position { key, id: user.id }
}

/// How many users match.
///
/// # Errors
/// When the database is away.
pub fn count(
    connection: &mut PgConnection,
    filter: &UserFilter,
    now: DateTime<Utc>,
) -> Result<i64, DbError> {
    let query = joined()
        .select(diesel::dsl::count_star())
        .into_boxed::<Pg>();
    Ok(filtered!(query, filter, now).get_result(connection)?)
}

/// The names of all attributes that matching users have, sorted.
///
/// # Errors
/// When the database is away.
pub fn attribute_names(
    connection: &mut PgConnection,
    filter: &UserFilter,
    now: DateTime<Utc>,
) -> Result<Vec<String>, DbError> {
    let names = diesel::dsl::sql::<Text>("jsonb_object_keys(users.attributes)");
    let query = joined().select(names).distinct().into_boxed::<Pg>();
    let mut names: Vec<String> = filtered!(query, filter, now).load(connection)?;
    names.sort_unstable();
    Ok(names)
}

/// One user.
///
/// # Errors
/// When the database is away.
pub fn get(
    connection: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<User>, DbError> {
    let rows = joined()
        .select(user_columns!())
        .filter(users::id.eq(id))
        .load::<Row>(connection)?;
    Ok(with_groups(connection, rows, now)?.pop())
}

fn with_groups(
    connection: &mut PgConnection,
    rows: Vec<Row>,
    now: DateTime<Utc>,
) -> Result<Vec<User>, DbError> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.0).collect();
    let memberships: Vec<(Uuid, Uuid, String)> = group_members::table
        .inner_join(groups::table)
        .filter(group_members::user_id.eq_any(ids))
        .order((group_members::user_id, groups::name))
        .select((group_members::user_id, groups::id, groups::name))
        .load(connection)?;
    let mut by_user: HashMap<Uuid, Vec<GroupRef>> = HashMap::new();
    for (user, id, name) in memberships {
        by_user.entry(user).or_default().push(GroupRef { id, name });
    }
    rows.into_iter()
        .map(|row| shown(row, now, &mut by_user))
        .collect()
}

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

/// Which unique fields of `profile` another user than `except` has.
///
/// # Errors
/// When the database is away.
pub fn taken(
    connection: &mut PgConnection,
    profile: &Profile,
    except: Option<Uuid>,
) -> Result<Vec<Taken>, DbError> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Bool)]
        username: bool,
        #[diesel(sql_type = Bool)]
        email: bool,
    }
    // A parameter has the collation of the database, which may know no letters but ASCII's.
    let Row { username, email } = diesel::sql_query(
        r#"SELECT EXISTS (SELECT FROM users WHERE lower(username) = lower($1 COLLATE "und-x-icu") AND id <> $3) AS username,
                  EXISTS (SELECT FROM users WHERE lower(email) = lower($2 COLLATE "und-x-icu") AND id <> $3) AS email"#,
    )
    .bind::<Text, _>(&profile.username)
    .bind::<Nullable<Text>, _>(profile.email.as_ref())
    .bind::<diesel::sql_types::Uuid, _>(except.unwrap_or(Uuid::nil()))
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
            columns(profile),
            users::source.eq(Source::Local.as_str()),
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
        .set((columns(profile), users::updated_at.eq(now)))
        .execute(connection)?;
    Ok(())
}

type ProfileColumns<'a> = (
    diesel::dsl::Eq<users::username, &'a str>,
    diesel::dsl::Eq<users::email, Option<&'a str>>,
    diesel::dsl::Eq<users::first_name, &'a str>,
    diesel::dsl::Eq<users::last_name, &'a str>,
    diesel::dsl::Eq<users::display_name, &'a str>,
    diesel::dsl::Eq<users::locale, Option<&'a str>>,
    diesel::dsl::Eq<users::time_zone, Option<&'a str>>,
    diesel::dsl::Eq<users::managed_apple_account, Option<&'a str>>,
    diesel::dsl::Eq<users::enabled, bool>,
    diesel::dsl::Eq<users::attributes, serde_json::Value>,
);

fn columns(profile: &Profile) -> ProfileColumns<'_> {
    (
        users::username.eq(profile.username.as_str()),
        users::email.eq(profile.email.as_deref()),
        users::first_name.eq(profile.first_name.as_str()),
        users::last_name.eq(profile.last_name.as_str()),
        users::display_name.eq(profile.display_name.as_str()),
        users::locale.eq(profile.locale.as_deref()),
        users::time_zone.eq(profile.time_zone.as_deref()),
        users::managed_apple_account.eq(profile.managed_apple_account.as_deref()),
        users::enabled.eq(profile.enabled),
        users::attributes.eq(serde_json::Value::Object(profile.attributes.clone())),
    )
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

/// Stores a password's hash. What was wrongly tried before counts no more.
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
    diesel::delete(guesses::table.find(id)).execute(connection)?;
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
        .filter(messages::kind.eq("confirmation"))
        .select(messages::id)
        .for_no_key_update()
        .skip_locked()
        .load(connection)?;
    about.extend(confirmations);
    diesel::update(messages::table.filter(messages::id.eq_any(about)))
        .set(messages::reason.eq(None::<String>))
        .execute(connection)?;
    diesel::delete(guesses::table.find(id)).execute(connection)?;
    diesel::delete(users::table.find(id)).execute(connection)?;
    Ok(())
}

/// A 409 that names the fields.
pub fn already_taken(fields: &[Taken]) -> ApiError {
    let faults = fields
        .iter()
        .map(|field| match field {
            Taken::Username => Fault::new("/username", "taken", "another user has this username"),
            Taken::Email => Fault::new("/email", "taken", "another user has this e-mail address"),
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
