//! Who is selected: read set-wise, row by row, so that memory does not grow with a row's width.

use chrono::{DateTime, Utc};
use diesel::{
    expression::BoxableExpression,
    pg::{Pg, PgRowByRowLoadingMode},
    prelude::*,
    sql_types::Bool,
};
use uuid::Uuid;

use super::{
    domain::{MOST_RECIPIENTS, Selection},
    plan::{Plan, Recipient},
};
use crate::{
    db::DbError,
    error::Fault,
    schema::{group_members, groups, suppressions, user_activity, users},
    settings::{self, rules::Rules},
    users::queries::matching_ids,
};

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

diesel::define_sql_function! {
    /// As the index of addresses has them.
    fn lower(text: diesel::sql_types::Nullable<diesel::sql_types::Text>) -> diesel::sql_types::Nullable<diesel::sql_types::Text>;
}

type Predicate = Box<dyn BoxableExpression<users::table, Pg, SqlType = Bool>>;

/// Which users: any of the ways of selecting.
fn predicate(selection: &Selection, now: DateTime<Utc>) -> Option<Predicate> {
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

/// The recipients in the order of their ids, each with the settings that apply: in as many statements for
/// 100,000 as for one.
///
/// `lock` holds the users until the end of the transaction, so that nobody is deleted or disabled
/// before the invitations are there.
///
/// # Errors
/// An empty selection, unknown ids with their pointers, too many recipients, or the database.
pub fn recipients(
    connection: &mut PgConnection,
    selection: &Selection,
    rules: &Rules,
    plan: &Plan,
    lock: bool,
    now: DateTime<Utc>,
) -> Result<Vec<Recipient>, SelectionError> {
    let predicate = predicate(selection, now).ok_or(SelectionError::Empty)?;
    check_groups(connection, selection)?;

    type Row = (Uuid, bool, bool, bool, bool, Option<String>);
    let columns = (
        users::id,
        users::email.is_not_null(),
        diesel::dsl::exists(
            suppressions::table.filter(suppressions::email.nullable().eq(lower(users::email))),
        ),
        users::enabled,
        users::password_hash.is_not_null(),
        users::locale,
    );
    let defaults = rules.defaults();
    let mut named = Named::of(selection);
    let mut recipients = Vec::new();
    let mut row_read = |row: QueryResult<Row>| -> Result<(), SelectionError> {
        let (user_id, has_email, is_suppressed, enabled, has_password, locale) = row?;
        named.mark(user_id);
        if recipients.len() == MOST_RECIPIENTS {
            return Err(SelectionError::TooMany);
        }
        recipients.push(Recipient {
            user_id,
            has_email,
            is_suppressed,
            enabled,
            has_password,
            lang: plan.lang_for(locale.as_deref()),
            which: defaults,
            devices: 0,
        });
        Ok(())
    };
    let query = users::table
        .filter(predicate)
        .order(users::id)
        .select(columns);
    if lock {
        query
            .for_no_key_update()
            .load_iter::<Row, PgRowByRowLoadingMode>(connection)?
            .try_for_each(&mut row_read)?;
    } else {
        query
            .load_iter::<Row, PgRowByRowLoadingMode>(connection)?
            .try_for_each(&mut row_read)?;
    }
    named.all_found()?;
    apply(connection, rules, plan, &mut recipients)?;
    Ok(recipients)
}

/// Adds which settings apply, and where a setting limits them the devices. Without custom settings there is
/// nothing to ask.
fn apply(
    connection: &mut PgConnection,
    rules: &Rules,
    plan: &Plan,
    recipients: &mut [Recipient],
) -> Result<(), DbError> {
    if rules.custom.is_empty() && !plan.limits_devices() {
        return Ok(());
    }
    let ids: Vec<Uuid> = recipients.iter().map(|one| one.user_id).collect();
    let place = |user: Uuid| ids.binary_search(&user).ok();
    settings::queries::which(connection, rules, &ids, |user, which| {
        if let Some(at) = place(user) {
            recipients[at].which = which;
        }
    })?;
    if plan.limits_devices() {
        let counts = user_activity::table
            .filter(user_activity::user_id.eq_any(&ids))
            .filter(user_activity::device_count.gt(0))
            .select((user_activity::user_id, user_activity::device_count))
            .load_iter::<(Uuid, i32), PgRowByRowLoadingMode>(connection)?;
        for count in counts {
            let (user, devices) = count?;
            if let Some(at) = place(user) {
                recipients[at].devices = u32::try_from(devices).unwrap_or(0);
            }
        }
    }
    Ok(())
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
struct Named(Vec<Wanted>);

struct Wanted {
    id: Uuid,
    index: usize,
    found: bool,
}

impl Named {
    fn of(selection: &Selection) -> Self {
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
    fn mark(&mut self, user: Uuid) {
        let first = self.0.partition_point(|wanted| wanted.id < user);
        for wanted in self.0[first..]
            .iter_mut()
            .take_while(|wanted| wanted.id == user)
        {
            wanted.found = true;
        }
    }

    fn all_found(&self) -> Result<(), SelectionError> {
        let unknown = self.0.iter().filter(|wanted| !wanted.found);
        let faults = unknown_ids("user_ids", "user", unknown.map(|wanted| wanted.index));
        if faults.is_empty() {
            Ok(())
        } else {
            Err(SelectionError::Unknown(faults))
        }
    }
}

fn check_groups(
    connection: &mut PgConnection,
    selection: &Selection,
) -> Result<(), SelectionError> {
    let Some(ids) = selection.group_ids.as_ref().filter(|ids| !ids.0.is_empty()) else {
        return Ok(());
    };
    let known: std::collections::HashSet<Uuid> = groups::table
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
