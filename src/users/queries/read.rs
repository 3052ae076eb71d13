//! Users as lists and answers show them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{dsl::IsNotNull, pg::Pg, prelude::*, sql_types::Jsonb};
use uuid::Uuid;

use crate::{
    db::{
        DbError,
        keyset::{Limited, Sorted},
    },
    guessing::policy,
    http::paging::Position,
    model::{
        identity::{GroupRef, Source},
        invitation::{InviteStatus, Method, State, pin_expires_at},
    },
    schema::{group_members, groups, invitations, user_activity, users},
    selection::{
        domain::UserFilter,
        queries::{joined, matching},
    },
    users::{
        domain::{PinLife, Sort, User},
        profile::Profile,
    },
};

define_sql_function! {
    /// The names in an object.
    fn jsonb_object_keys(object: Jsonb) -> Text;
}

/// The columns that make a profile.
#[derive(Queryable, Selectable)]
#[diesel(table_name = users, check_for_backend(Pg))]
pub struct ProfileRow {
    username: String,
    email: Option<String>,
    first_name: String,
    last_name: String,
    display_name: String,
    locale: Option<String>,
    time_zone: Option<String>,
    managed_apple_account: Option<String>,
    enabled: bool,
    attributes: serde_json::Value,
}

impl ProfileRow {
    /// The profile.
    ///
    /// # Errors
    /// When its attributes are no object.
    pub fn read(self) -> Result<Profile, DbError> {
        let serde_json::Value::Object(attributes) = self.attributes else {
            return Err(DbError::Stored("users.attributes".into()));
        };
        Ok(Profile {
            username: self.username,
            email: self.email,
            first_name: self.first_name,
            last_name: self.last_name,
            display_name: self.display_name,
            locale: self.locale,
            time_zone: self.time_zone,
            managed_apple_account: self.managed_apple_account,
            enabled: self.enabled,
            attributes,
        })
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = users, check_for_backend(Pg))]
struct Row {
    id: Uuid,
    #[diesel(embed)]
    profile: ProfileRow,
    name_clash: bool,
    source: Source,
    #[diesel(select_expression = users::password_hash.is_not_null())]
    #[diesel(select_expression_type = IsNotNull<users::password_hash>)]
    has_password: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    #[diesel(embed)]
    activity: Activity,
    #[diesel(embed)]
    newest: Option<Newest>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = user_activity, check_for_backend(Pg))]
struct Activity {
    last_invited_at: DateTime<Utc>,
    device_count: i32,
}

/// A user's newest invitation.
#[derive(Queryable, Selectable)]
#[diesel(table_name = invitations, check_for_backend(Pg))]
struct Newest {
    state: State,
    expires_at: DateTime<Utc>,
    method: Method,
    pin_issued_at: Option<DateTime<Utc>>,
    pin_lifetime_days: i16,
    pin_locked_until: Option<DateTime<Utc>>,
    pin_length: i16,
    pin_tries: i32,
}

impl Newest {
    fn status(&self, now: DateTime<Utc>) -> InviteStatus {
        match self.state.at(self.expires_at, now) {
            State::Pending => InviteStatus::Pending,
            State::Completed => InviteStatus::Completed,
            State::Expired | State::Revoked | State::Superseded => InviteStatus::Expired,
        }
    }

    /// Its PIN, if it has one and issued it.
    fn pin(&self) -> Option<PinLife> {
        let (lifetime, end) = (self.pin_lifetime_days, self.expires_at);
        let expires_at = pin_expires_at(self.method, self.pin_issued_at, lifetime, end);
        Some(PinLife {
            issued_at: self.pin_issued_at?,
            expires_at: expires_at?,
            locked_until: self.pin_locked_until,
            is_used_up: policy::is_used_up(self.pin_length, self.pin_tries),
        })
    }
}

fn shown(row: Row, now: DateTime<Utc>, groups: Vec<GroupRef>) -> Result<User, DbError> {
    let profile = row.profile.read()?;
    let status = row.newest.as_ref().map(|newest| newest.status(now));
    let invite_status = status.unwrap_or(InviteStatus::NotInvited);
    let pending = row
        .newest
        .filter(|_| invite_status == InviteStatus::Pending);
    let pin = pending.and_then(|newest| newest.pin());
    let last_invited_at = row.activity.last_invited_at;
    Ok(User {
        id: row.id,
        username: profile.username,
        email: profile.email,
        first_name: profile.first_name,
        last_name: profile.last_name,
        display_name: profile.display_name,
        locale: profile.locale,
        time_zone: profile.time_zone,
        managed_apple_account: profile.managed_apple_account,
        enabled: profile.enabled,
        name_clash: row.name_clash,
        source: row.source,
        groups,
        attributes: profile.attributes,
        has_password: row.has_password,
        invite_status,
        last_invited_at: Some(last_invited_at).filter(|at| *at > DateTime::UNIX_EPOCH),
        pin_status: pin.map(|pin| pin.status(now)),
        pin_issued_at: pin.map(|pin| pin.issued_at),
        pin_expires_at: pin.map(|pin| pin.expires_at),
        device_count: row.activity.device_count.into(),
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

/// What a list is sorted by.
fn sorted(sort: Sort) -> Sorted {
    use Sort::{
        CreatedAt, CreatedAtDescending, DisplayName, DisplayNameDescending, Email, EmailDescending,
        LastInvitedAt, LastInvitedAtDescending, Username, UsernameDescending,
    };
    let by = match sort {
        DisplayName | DisplayNameDescending => Sorted::by(&users::display_name, &users::id),
        Username | UsernameDescending => Sorted::by(&users::username, &users::id),
        Email | EmailDescending => Sorted::by(&users::email_sort, &users::id),
        CreatedAt | CreatedAtDescending => Sorted::by(&users::created_at, &users::id),
        LastInvitedAt | LastInvitedAtDescending => {
            Sorted::by(&user_activity::last_invited_at, &user_activity::user_id)
        }
    };
    match sort {
        DisplayName | Username | Email | CreatedAt | LastInvitedAt => by,
        DisplayNameDescending
        | UsernameDescending
        | EmailDescending
        | CreatedAtDescending
        | LastInvitedAtDescending => by.descending(),
    }
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
    let sorted = sorted(sort);
    let mut query = matching(filter, now).select(Row::as_select());
    if let Some(position) = after {
        query = query.filter(sorted.beyond(&position.key, position.id)?);
    }
    let rows = Limited::new(query.order(sorted.order()), limit).load::<Row>(connection)?;
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
    Ok(matching(filter, now).count().get_result(connection)?)
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
    let mut names: Vec<String> = matching(filter, now)
        .select(jsonb_object_keys(users::attributes))
        .distinct()
        .load(connection)?;
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
        .select(Row::as_select())
        .filter(users::id.eq(id))
        .load::<Row>(connection)?;
    Ok(with_groups(connection, rows, now)?.pop())
}

fn with_groups(
    connection: &mut PgConnection,
    rows: Vec<Row>,
    now: DateTime<Utc>,
) -> Result<Vec<User>, DbError> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.id).collect();
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
        .map(|row| {
            let groups = by_user.remove(&row.id).unwrap_or_default();
            shown(row, now, groups)
        })
        .collect()
}
