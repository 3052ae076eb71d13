//! Selections in the database: read set-wise, in as many statements for 100,000 users as for one.

use std::collections::HashSet;

use super::domain::{MOST_RECIPIENTS, Selection, UserFilter};
use crate::{
    db::{
        DbError,
        text::{enlist_part, enlist_part_spelled_out},
    },
    model::{
        invitation::{InviteStatus, State},
        search::SearchWords,
        wire::Fault,
    },
    schema::{group_members, groups, invitations, user_activity, users},
};
use chrono::{DateTime, Utc};
use diesel::{
    dsl::{not, sql},
    expression::BoxableExpression,
    pg::Pg,
    prelude::*,
    sql_types::{Bool, Nullable, Timestamptz},
};
use uuid::Uuid;

/// Users with their newest invitation.
pub type Joined = diesel::dsl::LeftJoinOn<
    diesel::dsl::InnerJoin<users::table, user_activity::table>,
    invitations::table,
    diesel::dsl::Eq<diesel::dsl::Nullable<invitations::id>, user_activity::latest_invitation_id>,
>;

/// Some of them.
pub type Matching = diesel::dsl::IntoBoxed<'static, Joined, Pg>;

/// The same, of which something is asked.
pub type Query<S> = diesel::dsl::IntoBoxed<'static, diesel::dsl::Select<Joined, S>, Pg>;

/// Users with their newest invitation.
pub fn joined() -> Joined {
    users::table.inner_join(user_activity::table).left_join(
        invitations::table.on(invitations::id
            .nullable()
            .eq(user_activity::latest_invitation_id)),
    )
}

/// Letter by letter what the statistics `invitations_pending_end` are of.
pub const PENDING_END: &str =
    "CASE WHEN invitations.state = 'pending' THEN invitations.expires_at END";

/// The users that match, and their newest invitation: of lists, counts, exports and selections alike.
pub fn matching(filter: &UserFilter, now: DateTime<Utc>) -> Matching {
    let mut query = joined().into_boxed();
    for word in filter.q.iter().flat_map(SearchWords::words) {
        query = query.filter(
            users::search_text
                .like(enlist_part(word.clone()))
                .or(users::search_text
                    .nullable()
                    .like(enlist_part_spelled_out(word.clone()))),
        );
    }
    if let Some(group) = filter.group {
        let members = group_members::table
            .filter(group_members::group_id.eq(group))
            .select(group_members::user_id);
        query = query.filter(users::id.eq_any(members));
    }
    if let Some(enabled) = filter.enabled {
        query = query.filter(users::enabled.eq(enabled));
    }
    // Not a parameter: the index is only of those who have the mark.
    query = match filter.name_clash {
        Some(true) => query.filter(users::name_clash),
        Some(false) => query.filter(not(users::name_clash)),
        None => query,
    };
    if let Some(source) = filter.source {
        query = query.filter(users::source.eq(source));
    }
    if let Some(locale) = &filter.locale {
        query = query.filter(users::locale.eq(locale.as_str().to_owned()));
    }
    // A join says nothing to the planner about who was never invited: it has to be told.
    let invited = user_activity::latest_invitation_id.is_not_null();
    match filter.invite_status {
        None => query,
        Some(InviteStatus::NotInvited) => {
            query.filter(user_activity::latest_invitation_id.is_null())
        }
        Some(InviteStatus::Pending) => query
            .filter(invited)
            .filter(invitations::state.eq(State::Pending))
            .filter(invitations::expires_at.gt(now)),
        Some(InviteStatus::Completed) => query
            .filter(invited)
            .filter(invitations::state.eq(State::Completed)),
        // Nobody's newest invitation is superseded: asking for those that are would only let the
        // planner expect as many users as there ever were. Without the id it cannot tell that an
        // invitation is needed, and joins all of them first.
        Some(InviteStatus::Expired) => query
            .filter(invited)
            .filter(invitations::id.is_not_null())
            .filter(
                invitations::state
                    .eq_any([State::Expired, State::Revoked])
                    .or(sql::<Nullable<Timestamptz>>(PENDING_END).le(now)),
            ),
    }
}

/// The ids of all users that match, as a subquery of a selection.
pub fn matching_ids(filter: &UserFilter, now: DateTime<Utc>) -> Query<users::id> {
    matching(filter, now).select(users::id)
}

/// Why a selection was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SelectionError {
    #[error("nothing selects anybody")]
    Empty,
    #[error("ids that nobody has")]
    Unknown(Vec<Fault>),
    #[error("more users than are taken at once")]
    TooMany,
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<diesel::result::Error> for SelectionError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

/// A condition on users.
pub type Predicate = Box<dyn BoxableExpression<users::table, Pg, SqlType = Bool>>;

/// Which users: any of the ways of selecting.
pub fn predicate(selection: &Selection, now: DateTime<Utc>) -> Option<Predicate> {
    let mut any: Vec<Predicate> = Vec::new();
    if let Some(ids) = selection.user_ids.as_ref().filter(|ids| !ids.0.is_empty()) {
        any.push(Box::new(users::id.eq_any(ids.0.clone())));
    }
    if let Some(ids) = selection.group_ids.as_ref().filter(|ids| !ids.0.is_empty()) {
        let members = group_members::table
            .filter(group_members::group_id.eq_any(ids.0.clone()))
            .select(group_members::user_id);
        any.push(Box::new(users::id.eq_any(members)));
    }
    if let Some(filter) = &selection.filter {
        any.push(Box::new(users::id.eq_any(matching_ids(filter, now))));
    }
    any.into_iter().reduce(|one, other| Box::new(one.or(other)))
}

/// A user, as a person knows one.
#[derive(Debug, Queryable, Selectable)]
#[diesel(table_name = users, check_for_backend(Pg))]
pub struct Person {
    pub id: Uuid,
    pub display_name: String,
    pub username: String,
    pub email: Option<String>,
}

/// Reads who is selected, in the order of their ids.
///
/// # Errors
/// An empty selection, unknown ids with their pointers, more than `most` users, or the database.
pub fn people(
    connection: &mut PgConnection,
    selection: &Selection,
    most: usize,
    now: DateTime<Utc>,
) -> Result<Vec<Person>, SelectionError> {
    let predicate = predicate(selection, now).ok_or(SelectionError::Empty)?;
    check_groups(connection, selection)?;
    // One more than are taken, to see that there are more.
    let people: Vec<Person> = users::table
        .filter(predicate)
        .order(users::id)
        .select(Person::as_select())
        .limit(i64::try_from(most).unwrap_or(i64::MAX).saturating_add(1))
        .load(connection)?;
    if people.len() > most {
        return Err(SelectionError::TooMany);
    }
    let mut named = Named::of(selection);
    for person in &people {
        named.mark(person.id);
    }
    named.all_found()?;
    Ok(people)
}

/// The ids of everybody who is selected, sorted.
///
/// # Errors
/// An empty selection, unknown ids with their pointers, more users than are taken at once, or the database.
pub fn user_ids(
    connection: &mut PgConnection,
    selection: &Selection,
    now: DateTime<Utc>,
) -> Result<Vec<Uuid>, SelectionError> {
    let predicate = predicate(selection, now).ok_or(SelectionError::Empty)?;
    check_groups(connection, selection)?;
    let most = i64::try_from(MOST_RECIPIENTS).unwrap_or(i64::MAX);
    let ids: Vec<Uuid> = users::table
        .filter(predicate)
        .order(users::id)
        .select(users::id)
        .limit(most.saturating_add(1))
        .load(connection)?;
    if ids.len() > MOST_RECIPIENTS {
        return Err(SelectionError::TooMany);
    }
    let mut named = Named::of(selection);
    for id in &ids {
        named.mark(*id);
    }
    named.all_found()?;
    Ok(ids)
}

/// The users that a selection names by their ids, sorted, to see whether each of them is there.
pub struct Named(Vec<Wanted>);

struct Wanted {
    id: Uuid,
    index: usize,
    found: bool,
}

impl Named {
    /// Those whom a selection names.
    pub fn of(selection: &Selection) -> Self {
        let mut wanted: Vec<Wanted> = selection
            .user_ids
            .iter()
            .flat_map(|ids| ids.0.iter().enumerate())
            .map(|(index, id)| Wanted {
                id: *id,
                index,
                found: false,
            })
            .collect();
        wanted.sort_unstable_by_key(|wanted| wanted.id);
        Self(wanted)
    }

    /// The user is there, however often it was named.
    pub fn mark(&mut self, user: Uuid) {
        let first = self.0.partition_point(|wanted| wanted.id < user);
        for wanted in self.0[first..]
            .iter_mut()
            .take_while(|wanted| wanted.id == user)
        {
            wanted.found = true;
        }
    }

    /// # Errors
    /// A fault for each that was not marked.
    pub fn all_found(&self) -> Result<(), SelectionError> {
        let unknown = self.0.iter().filter(|wanted| !wanted.found);
        let faults = unknown_ids("user_ids", "user", unknown.map(|wanted| wanted.index));
        if faults.is_empty() {
            Ok(())
        } else {
            Err(SelectionError::Unknown(faults))
        }
    }
}

/// # Errors
/// A fault for each group of the selection that is not there.
pub fn check_groups(
    connection: &mut PgConnection,
    selection: &Selection,
) -> Result<(), SelectionError> {
    let Some(ids) = selection.group_ids.as_ref().filter(|ids| !ids.0.is_empty()) else {
        return Ok(());
    };
    let known: HashSet<Uuid> = groups::table
        .filter(groups::id.eq_any(&ids.0))
        .select(groups::id)
        .load(connection)?
        .into_iter()
        .collect();
    let unknown = ids
        .0
        .iter()
        .enumerate()
        .filter(|(_, id)| !known.contains(id));
    let faults = unknown_ids("group_ids", "group", unknown.map(|(index, _)| index));
    if faults.is_empty() {
        Ok(())
    } else {
        Err(SelectionError::Unknown(faults))
    }
}

/// The first hundred are enough to see what went wrong.
fn unknown_ids(field: &str, what: &str, indexes: impl Iterator<Item = usize>) -> Vec<Fault> {
    let mut indexes: Vec<usize> = indexes.collect();
    indexes.sort_unstable();
    indexes
        .into_iter()
        .take(100)
        .map(|index| {
            Fault::new(
                format!("/{field}/{index}"),
                "unknown_id",
                format!("there is no {what} with this id"),
            )
        })
        .collect()
}

/// Which of these users there are, held until the end of the transaction so that none of them is
/// deleted before. They are locked in the order of their ids: two who lock the same ones take turns.
///
/// # Errors
/// When the database is away.
pub fn hold_users(
    connection: &mut PgConnection,
    ids: impl Iterator<Item = Uuid>,
) -> Result<HashSet<Uuid>, DbError> {
    let known: Vec<Uuid> = users::table
        .filter(users::id.eq_any(ids.collect::<Vec<_>>()))
        .order(users::id)
        .select(users::id)
        .for_key_share()
        .load(connection)?;
    Ok(known.into_iter().collect())
}
