//! Groups and their members in the database.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::auto_type,
    pg::Pg,
    prelude::*,
    sql_types::{Array, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::domain::{Group, GroupName, Sort};
use crate::{
    db::{DbError, keyset::Sorted, text::enlist_part},
    http::{error::ApiError, paging::Position},
    model::{search::SearchText, wire::Fault},
    schema::{group_members, groups},
};

/// Counted for the rows of the page alone, after the limit: a page of 200 among 2,000 groups with
/// 100,000 members takes 3 ms, where a join with the counts of the groups reads every member and takes 20.
#[auto_type]
fn member_count() -> _ {
    group_members::table
        .filter(group_members::group_id.eq(groups::id))
        .count()
        .single_value()
        .assume_not_null()
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = groups, check_for_backend(Pg))]
struct Row {
    id: Uuid,
    name: String,
    #[diesel(select_expression = member_count())]
    member_count: i64,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
}

impl From<Row> for Group {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            name: row.name,
            member_count: row.member_count,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// What is searched for.
fn matching(q: Option<&SearchText>) -> groups::BoxedQuery<'_, Pg> {
    let query = groups::table.into_boxed();
    match q.filter(|q| !q.as_str().is_empty()) {
        Some(q) => query.filter(groups::search_text.like(enlist_part(q.as_str()))),
        None => query,
    }
}

/// One page in the wanted order, and one row more.
///
/// # Errors
/// When the database is away.
pub fn list(
    connection: &mut PgConnection,
    q: Option<&SearchText>,
    sort: Sort,
    after: Option<&Position>,
    limit: i64,
) -> Result<Vec<Group>, DbError> {
    let mut query = matching(q).select(Row::as_select());
    let by_name = Sorted::by(&groups::name, &groups::id);
    let sorted = match sort {
        Sort::Name => by_name,
        Sort::NameDescending => by_name.descending(),
    };
    if let Some(position) = after {
        query = query.filter(sorted.beyond(&position.key, position.id)?);
    }
    let rows: Vec<Row> = query.order(sorted.order()).limit(limit).load(connection)?;
    Ok(rows.into_iter().map(Group::from).collect())
}

/// Where a page that ends with this group ended.
pub fn position(group: &Group) -> Position {
    Position {
        key: group.name.clone(),
        id: group.id,
    }
}

/// How many groups match.
///
/// # Errors
/// When the database is away.
pub fn count(connection: &mut PgConnection, q: Option<&SearchText>) -> Result<i64, DbError> {
    Ok(matching(q).count().get_result(connection)?)
}

/// One group.
///
/// # Errors
/// When the database is away.
pub fn get(connection: &mut PgConnection, id: Uuid) -> Result<Option<Group>, DbError> {
    let row: Option<Row> = groups::table
        .find(id)
        .select(Row::as_select())
        .first(connection)
        .optional()?;
    Ok(row.map(Group::from))
}

/// Locks a group until the end of the transaction, so that its changes take turns. New users may
/// still join it meanwhile.
///
/// # Errors
/// When the database is away.
pub fn lock(connection: &mut PgConnection, id: Uuid) -> Result<bool, DbError> {
    let found: Option<Uuid> = groups::table
        .find(id)
        .select(groups::id)
        .for_no_key_update()
        .first(connection)
        .optional()?;
    Ok(found.is_some())
}

/// Locks a group that is to be deleted: nothing can refer to it any more meanwhile.
///
/// # Errors
/// When the database is away.
pub fn lock_for_deletion(connection: &mut PgConnection, id: Uuid) -> Result<(), DbError> {
    groups::table
        .find(id)
        .select(groups::id)
        .for_update()
        .first::<Uuid>(connection)
        .optional()?;
    Ok(())
}

/// Whether the unique index on the name refused a row: only it can tell, whoever else is at it.
fn is_taken(error: &DbError) -> bool {
    error.constraint() == Some("groups_name_key")
}

/// Stores a new group.
///
/// # Errors
/// A violated constraint, or the database is away.
pub fn insert(
    connection: &mut PgConnection,
    id: Uuid,
    name: &GroupName,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::insert_into(groups::table)
        .values((
            groups::id.eq(id),
            groups::name.eq(name.as_str()),
            groups::created_at.eq(now),
            groups::updated_at.eq(now),
        ))
        .execute(connection)?;
    Ok(())
}

/// Stores a group's new name.
///
/// # Errors
/// A violated constraint, or the database is away.
pub fn rename(
    connection: &mut PgConnection,
    id: Uuid,
    name: &GroupName,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::update(groups::table.find(id))
        .set((groups::name.eq(name.as_str()), groups::updated_at.eq(now)))
        .execute(connection)?;
    Ok(())
}

/// Deletes a group and its memberships; the users stay.
///
/// # Errors
/// When the database is away.
pub fn delete(connection: &mut PgConnection, id: Uuid) -> Result<(), DbError> {
    diesel::delete(groups::table.find(id)).execute(connection)?;
    Ok(())
}

/// Adds users to a group. Gives how many were no members before.
///
/// # Errors
/// When the database is away.
pub fn add(connection: &mut PgConnection, group: Uuid, ids: &[Uuid]) -> Result<usize, DbError> {
    let added = diesel::sql_query(include_str!("sql/add.sql"))
        .bind::<SqlUuid, _>(group)
        .bind::<Array<SqlUuid>, _>(ids)
        .execute(connection)?;
    Ok(added)
}

/// Takes users out of a group. Gives how many were members.
///
/// # Errors
/// When the database is away.
pub fn remove(connection: &mut PgConnection, group: Uuid, ids: &[Uuid]) -> Result<usize, DbError> {
    let members = group_members::table
        .filter(group_members::group_id.eq(group))
        .filter(group_members::user_id.eq_any(ids));
    Ok(diesel::delete(members).execute(connection)?)
}

/// A violated unique index is a 409; all else is as usual.
pub fn stored_or_taken(error: DbError) -> ApiError {
    if is_taken(&error) {
        ApiError::conflict(
            "already_exists",
            "Another group has this name (upper and lower case are the same).",
            vec![Fault::new("/name", "taken", "another group has this name")],
        )
    } else {
        error.into()
    }
}
