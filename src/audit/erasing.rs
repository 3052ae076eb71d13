//! Who an operator was goes from the log; that it was the operator with this id stays.

use diesel::{
    dsl::{exists, select},
    prelude::*,
    sql_types::Uuid as SqlUuid,
};
use uuid::Uuid;

use super::domain::{ActorKind, SubjectKind};
use crate::{
    db::DbError,
    schema::{audit_events, operators},
};

/// Whether an operator is still there, and is not erased before the transaction ends: then the name may be written down.
///
/// # Errors
/// When the database is away.
pub fn is_there(connection: &mut PgConnection, id: Option<Uuid>) -> Result<bool, DbError> {
    let held: Option<Uuid> = operators::table
        .filter(operators::id.nullable().eq(id))
        .select(operators::id)
        .for_key_share()
        .first(connection)
        .optional()?;
    Ok(held.is_some())
}

/// Whether the log knows an operator, who may be deleted.
///
/// # Errors
/// When the database is away.
pub fn knows_operator(connection: &mut PgConnection, id: Uuid) -> Result<bool, DbError> {
    let did = audit_events::table
        .filter(audit_events::actor_id.eq(id))
        .filter(audit_events::actor_kind.eq(ActorKind::Operator))
        .select(audit_events::id);
    let suffered = audit_events::table
        .filter(audit_events::subject_id.eq(id))
        .filter(audit_events::subject_kind.eq(SubjectKind::Operator))
        .select(audit_events::id);
    Ok(select(exists(did).or(exists(suffered))).get_result(connection)?)
}

/// Erases the operator's name and addresses from events, and the details of those about the operator. Whoever calls it
/// writes `operator.erased` down behind it.
///
/// # Errors
/// When the database is away.
pub fn erase_operator(connection: &mut PgConnection, id: Uuid) -> Result<(), DbError> {
    diesel::sql_query(include_str!("sql/erase_operator.sql"))
        .bind::<SqlUuid, _>(id)
        .execute(connection)?;
    Ok(())
}
