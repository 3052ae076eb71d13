//! Operators in the database.

use chrono::{DateTime, Utc};
use diesel::{
    dsl::sql,
    pg::Pg,
    prelude::*,
    sql_types::{Bool, Text},
};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

use super::domain::Operator;
use crate::{
    db::{DbError, text_enum::text_enum},
    http::paging::Position,
    model::caller::Role,
    schema::operators,
};

text_enum!(Role);

#[derive(Queryable, Selectable)]
#[diesel(table_name = operators, check_for_backend(Pg))]
struct Row {
    id: Uuid,
    email: String,
    role: Role,
    enabled: bool,
    created_at: DateTime<Utc>,
    updated_at: DateTime<Utc>,
    last_sign_in_at: Option<DateTime<Utc>>,
}

impl From<Row> for Operator {
    fn from(row: Row) -> Self {
        Self {
            id: row.id,
            email: row.email,
            role: row.role,
            enabled: row.enabled,
            created_at: row.created_at,
            updated_at: row.updated_at,
            last_sign_in_at: row.last_sign_in_at,
        }
    }
}

/// One page of the operators, the oldest first, and one row more.
///
/// # Errors
/// When the database is away.
pub fn list(
    connection: &mut PgConnection,
    after: Option<&Position>,
    limit: i64,
) -> Result<Vec<Operator>, DbError> {
    let mut query = operators::table.select(Row::as_select()).into_boxed();
    if let Some(position) = after {
        query = query.filter(operators::id.gt(position.id));
    }
    let rows: Vec<Row> = query.order(operators::id).limit(limit).load(connection)?;
    Ok(rows.into_iter().map(Operator::from).collect())
}

/// How many there are.
///
/// # Errors
/// When the database is away.
pub fn count(connection: &mut PgConnection) -> Result<i64, DbError> {
    Ok(operators::table.count().get_result(connection)?)
}

/// One operator.
///
/// # Errors
/// When the database is away.
pub fn get(connection: &mut PgConnection, id: Uuid) -> Result<Option<Operator>, DbError> {
    let row: Option<Row> = operators::table
        .find(id)
        .select(Row::as_select())
        .first(connection)
        .optional()?;
    Ok(row.map(Operator::from))
}

/// One operator, held until the end of the transaction, and their password's hash.
///
/// # Errors
/// When the database is away.
pub fn lock(
    connection: &mut PgConnection,
    id: Uuid,
) -> Result<Option<(Operator, SecretString)>, DbError> {
    let row: Option<(Row, String)> = operators::table
        .find(id)
        .select((Row::as_select(), operators::password_hash))
        .for_update()
        .first(connection)
        .optional()?;
    Ok(row.map(|(row, hash)| (row.into(), hash.into())))
}

/// Who has an address, the hash to compare with, and whether the operator may sign in.
///
/// # Errors
/// When the database is away.
pub fn by_email(
    connection: &mut PgConnection,
    email: &str,
) -> Result<Option<(Uuid, SecretString, bool)>, DbError> {
    let same_email = sql::<Bool>(r#"lower(email COLLATE "und-x-icu") = lower("#)
        .bind::<Text, _>(email)
        .sql(r#" COLLATE "und-x-icu")"#);
    let row: Option<(Uuid, String, bool)> = operators::table
        .filter(same_email)
        .select((operators::id, operators::password_hash, operators::enabled))
        .first(connection)
        .optional()?;
    Ok(row.map(|(id, hash, enabled)| (id, hash.into(), enabled)))
}

/// Active admins, held in the order of their ids until the end of the transaction: of two who end each other, the
/// second one waits, and sees that it would be the last.
///
/// # Errors
/// When the database is away.
pub fn hold_admins(connection: &mut PgConnection) -> Result<Vec<Uuid>, DbError> {
    Ok(operators::table
        .filter(operators::role.eq(Role::Admin))
        .filter(operators::enabled)
        .order(operators::id)
        .select(operators::id)
        .for_update()
        .load(connection)?)
}

/// Whether the unique index on the address refused a row.
pub fn is_taken(error: &DbError) -> bool {
    error.constraint() == Some("operators_email_key")
}

/// Stores a new operator.
///
/// # Errors
/// A violated constraint, or the database is away.
pub fn insert(
    connection: &mut PgConnection,
    operator: &Operator,
    hash: &SecretString,
) -> Result<(), DbError> {
    diesel::insert_into(operators::table)
        .values((
            operators::id.eq(operator.id),
            operators::email.eq(&operator.email),
            operators::role.eq(operator.role),
            operators::password_hash.eq(hash.expose_secret()),
            operators::enabled.eq(operator.enabled),
            operators::created_at.eq(operator.created_at),
            operators::updated_at.eq(operator.updated_at),
        ))
        .execute(connection)?;
    Ok(())
}

/// Stores what changed.
///
/// # Errors
/// A violated constraint, or the database is away.
pub fn update(connection: &mut PgConnection, operator: &Operator) -> Result<(), DbError> {
    diesel::update(operators::table.find(operator.id))
        .set((
            operators::email.eq(&operator.email),
            operators::role.eq(operator.role),
            operators::enabled.eq(operator.enabled),
            operators::updated_at.eq(operator.updated_at),
        ))
        .execute(connection)?;
    Ok(())
}

/// Stores another hash of a password.
///
/// # Errors
/// When the database is away.
pub fn set_hash(
    connection: &mut PgConnection,
    id: Uuid,
    hash: &SecretString,
) -> Result<(), DbError> {
    diesel::update(operators::table.find(id))
        .set(operators::password_hash.eq(hash.expose_secret()))
        .execute(connection)?;
    Ok(())
}

/// Notes that an operator signed in.
///
/// # Errors
/// When the database is away.
pub fn note_sign_in(
    connection: &mut PgConnection,
    id: Uuid,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    diesel::update(operators::table.find(id))
        .set(operators::last_sign_in_at.eq(now))
        .execute(connection)?;
    Ok(())
}

/// Deletes an operator and their sessions.
///
/// # Errors
/// When the database is away.
pub fn delete(connection: &mut PgConnection, id: Uuid) -> Result<(), DbError> {
    diesel::delete(operators::table.find(id)).execute(connection)?;
    Ok(())
}
