//! Suppressions in the database: which there are, and lifting them.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::sql,
    pg::Pg,
    prelude::*,
    sql_types::{Array, Bool, Text, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::domain::{Filter, Suppression};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    db::DbError,
    model::said::masked,
    schema::suppressions,
};

#[derive(Queryable, Selectable)]
#[diesel(table_name = suppressions, check_for_backend(Pg))]
struct Row {
    id: Uuid,
    email: String,
    user_id: Uuid,
    enhanced_status: Option<String>,
    reason: Option<String>,
    created_at: DateTime<Utc>,
}

impl From<Row> for Suppression {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            email: row.email,
            user_id: row.user_id,
            enhanced_status: row.enhanced_status,
            // What was stored before words were masked may not be rewritten yet.
            reason: row.reason.as_deref().map(masked),
            created_at: row.created_at,
        }
    }
}

/// What is asked for: what is listed, as what is lifted.
fn matching(asked: &Filter) -> suppressions::BoxedQuery<'_, Pg> {
    let mut query = suppressions::table.into_boxed();
    if let Some(email) = &asked.email {
        query = query.filter(suppressions::email.eq(email.as_str().to_lowercase()));
    }
    if let Some(user) = asked.user_id {
        query = query.filter(suppressions::user_id.eq(user));
    }
    if let Some(domain) = &asked.domain {
        query = query.filter(
            sql::<Bool>("split_part(suppressions.email, '@', 2) = ANY (")
                .bind::<Array<Text>, _>(domain.spellings().to_vec())
                .sql(")"),
        );
    }
    if let Some(reason) = &asked.reason {
        // Folded as addresses are, whatever the database's own language.
        query = query.filter(
                sql::<Bool>(
                    "lower(concat_ws(E'\\n', suppressions.enhanced_status, suppressions.reason) COLLATE \"und-x-icu\") ~ ",
                )
                .bind::<Text, _>(reason.pattern()),
            );
    }
    if let Some(before) = asked.before {
        query = query.filter(suppressions::created_at.lt(before.0));
    }
    query
}

/// One page, the newest first, and one row more.
///
/// # Errors
/// When the database is away.
pub fn list(
    connection: &mut PgConnection,
    asked: &Filter,
    after: Option<Uuid>,
    limit: i64,
) -> Result<Vec<Suppression>, DbError> {
    let mut query = matching(asked).select(Row::as_select());
    if let Some(after) = after {
        query = query.filter(suppressions::id.lt(after));
    }
    let rows: Vec<Row> = query
        .order(suppressions::id.desc())
        .limit(limit)
        .load(connection)?;
    Ok(rows.into_iter().map(Suppression::from).collect())
}

/// How many match.
///
/// # Errors
/// When the database is away.
pub fn count(connection: &mut PgConnection, asked: &Filter) -> Result<i64, DbError> {
    Ok(matching(asked).count().get_result(connection)?)
}

/// One of them.
///
/// # Errors
/// When the database is away.
pub fn get(connection: &mut PgConnection, id: Uuid) -> Result<Option<Suppression>, DbError> {
    let row: Option<Row> = suppressions::table
        .find(id)
        .select(Row::as_select())
        .first(connection)
        .optional()?;
    Ok(row.map(Suppression::from))
}

/// Lets mails go to an address again; gives what was taken away. Runs inside a transaction.
///
/// # Errors
/// When the database is away.
pub fn lift(
    connection: &mut PgConnection,
    trail: &Trail,
    id: Uuid,
) -> Result<Option<Suppression>, DbError> {
    let row: Option<Row> = diesel::delete(suppressions::table.find(id))
        .returning(Row::as_returning())
        .get_result(connection)
        .optional()?;
    let lifted = row.map(Suppression::from);
    if let Some(lifted) = &lifted {
        let event = Event::new(Action::SuppressionLifted, SubjectKind::Suppression, id)
            .before(lifted)
            .about(lifted.user_id);
        trail.record(connection, &event)?;
    }
    Ok(lifted)
}

/// Lets mails go to all addresses that match again; gives how many. Runs inside a transaction.
///
/// # Errors
/// When the database is away.
pub fn lift_many(
    connection: &mut PgConnection,
    trail: &Trail,
    asked: &Filter,
) -> Result<usize, DbError> {
    let found: Vec<Uuid> = matching(asked).select(suppressions::id).load(connection)?;
    let lifted = diesel::sql_query(include_str!("sql/lift.sql"))
        .bind::<Array<SqlUuid>, _>(found)
        .execute(connection)?;
    if lifted > 0 {
        // About no one user: it holds nothing that would have to go with one.
        let event = Event::new(Action::SuppressionLifted, SubjectKind::Suppression, None)
            .after(&asked.told(lifted));
        trail.record(connection, &event)?;
    }
    Ok(lifted)
}
