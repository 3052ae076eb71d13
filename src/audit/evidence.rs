//! What is stored of the log and beside it, as verifying needs it.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Bool, Bytea, Int2, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::{
    domain::{Action, SubjectKind},
    rows::EventRow,
    signature::salted,
};
use crate::{db::DbError, schema::audit_events};

/// Events that are looked at at a time: their details may be large.
pub(super) const AT_ONCE: usize = 200;
const LIMIT: i64 = 200;

/// A link, and the details of its event; or what is there of these for an event without a link.
#[derive(QueryableByName)]
pub(super) struct LinkRow {
    #[diesel(sql_type = BigInt)]
    pub(super) position: i64,
    #[diesel(sql_type = SqlUuid)]
    pub(super) event_id: Uuid,
    #[diesel(sql_type = Text)]
    pub(super) key_id: String,
    #[diesel(sql_type = Bytea)]
    pub(super) mac: Vec<u8>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub(super) linked_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Nullable<Int2>)]
    pub(super) found: Option<i16>,
    #[diesel(sql_type = Nullable<Bytea>)]
    pub(super) hash: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Bytea>)]
    pub(super) salt: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) before: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) after: Option<String>,
    /// Whether there are details.
    #[diesel(sql_type = Bool)]
    pub(super) has_details: bool,
    /// Whether it waits for its link.
    #[diesel(sql_type = Bool)]
    pub(super) queued: bool,
}

impl LinkRow {
    pub(super) fn is_linked(&self) -> bool {
        self.position > 0
    }

    /// Whether the details are those that were written.
    pub(super) fn has_details_of(&self, hash: &[u8]) -> bool {
        let (before, after) = (self.before.as_deref(), self.after.as_deref());
        let salt = self.salt.as_deref();
        salt.is_some_and(|salt| salted(salt, before, after)[..] == *hash)
    }
}

/// The links behind one, in their order.
pub(super) fn links(
    connection: &mut PgConnection,
    (position, event): (i64, Uuid),
) -> Result<Vec<LinkRow>, DbError> {
    Ok(diesel::sql_query(include_str!("sql/links.sql"))
        .bind::<BigInt, _>(position)
        .bind::<SqlUuid, _>(event)
        .bind::<BigInt, _>(LIMIT)
        .load(connection)?)
}

/// Events by their ids. There is one of each, or none of them is what its writer wrote.
pub(super) fn events(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, EventRow>, DbError> {
    let rows: Vec<EventRow> = audit_events::table
        .filter(audit_events::id.eq_any(ids))
        .select(EventRow::as_select())
        .load(connection)?;
    let mut events = HashMap::with_capacity(rows.len());
    for mut row in rows {
        if events.contains_key(&row.id) {
            row.is_not_alone();
        }
        events.insert(row.id, row);
    }
    Ok(events)
}

/// Events without a link behind one, in the order of their ids.
pub(super) fn waiting(
    connection: &mut PgConnection,
    after: Uuid,
    beginning: i64,
) -> Result<Vec<(EventRow, LinkRow)>, DbError> {
    let rows: Vec<LinkRow> = diesel::sql_query(include_str!("sql/waiting.sql"))
        .bind::<SqlUuid, _>(after)
        .bind::<BigInt, _>(beginning)
        .bind::<BigInt, _>(LIMIT)
        .load(connection)?;
    with_events(connection, rows)
}

/// Events of these kinds that were done to these (`None`: to anything), each with its link behind the beginning, or as one
/// that waits.
pub(super) fn done_to(
    connection: &mut PgConnection,
    actions: &[Action],
    subjects: Option<&[Uuid]>,
    beginning: i64,
) -> Result<Vec<(EventRow, LinkRow)>, DbError> {
    let mut rows: Vec<LinkRow> = diesel::sql_query(include_str!("sql/linked_done_to.sql"))
        .bind::<Array<Text>, _>(actions)
        .bind::<Nullable<Array<SqlUuid>>, _>(subjects)
        .bind::<BigInt, _>(beginning)
        .load(connection)?;
    let waiting: Vec<LinkRow> = diesel::sql_query(include_str!("sql/waiting_done_to.sql"))
        .bind::<Array<Text>, _>(actions)
        .bind::<Nullable<Array<SqlUuid>>, _>(subjects)
        .bind::<BigInt, _>(beginning)
        .load(connection)?;
    rows.extend(waiting);
    let mut told = with_events(connection, rows)?;
    // Should there be two events of one id.
    told.retain(|(event, _)| {
        let is_of = |subjects: &[Uuid]| event.subject_id.is_some_and(|id| subjects.contains(&id));
        actions.iter().any(|action| action.as_str() == event.action) && subjects.is_none_or(is_of)
    });
    Ok(told)
}

fn with_events(
    connection: &mut PgConnection,
    rows: Vec<LinkRow>,
) -> Result<Vec<(EventRow, LinkRow)>, DbError> {
    let ids: Vec<Uuid> = rows.iter().map(|row| row.event_id).collect();
    let mut events = events(connection, &ids)?;
    let with_event = |row: LinkRow| Some((events.remove(&row.event_id)?, row));
    Ok(rows.into_iter().filter_map(with_event).collect())
}

/// Somebody or something that is let in.
#[derive(QueryableByName)]
pub(super) struct Account {
    /// [`SubjectKind::ApiKey`] or [`SubjectKind::Operator`].
    #[diesel(sql_type = Text)]
    pub(super) kind: SubjectKind,
    #[diesel(sql_type = SqlUuid)]
    pub(super) id: Uuid,
    #[diesel(sql_type = Text)]
    pub(super) name: String,
    #[diesel(sql_type = Timestamptz)]
    pub(super) created_at: DateTime<Utc>,
}

/// API keys that work, and operators.
pub(super) fn accounts(connection: &mut PgConnection) -> Result<Vec<Account>, DbError> {
    Ok(diesel::sql_query(include_str!("sql/accounts.sql")).load(connection)?)
}
