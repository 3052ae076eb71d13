//! Users as lists and answers show them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{pg::Pg, prelude::*, sql_types::Text};
use uuid::Uuid;

use crate::{
    db::{
        DbError,
        keyset::{Beyond, Limited},
        stored,
    },
    guessing::policy,
    http::paging::Position,
    model::{
        identity::{GroupRef, Source},
        invitation::{InviteStatus, Method, pin_expires_at},
    },
    schema::{group_members, groups, invitations, user_activity, users},
    selection::{
        domain::UserFilter,
        queries::{filtered, joined},
    },
    users::domain::{PinLife, Sort, User},
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
            users::name_clash,
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
        name_clash,
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
        name_clash,
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
