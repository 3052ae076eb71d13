//! The audit log in the database.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use diesel::{
    pg::Pg,
    prelude::*,
    sql_types::{Bytea, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::domain::{Actor, ActorKind, AuditEvent, Event, ListQuery, Subject, SubjectKind};
use crate::{
    clock,
    db::{DbError, prepared::Prepared, stored},
    http::paging::Position,
    schema::{audit_details, audit_events},
};

/// The salted hash of an event's details: it stays when they go, and gives nothing of them away.
pub fn details_hash(salt: &[u8], before: Option<&str>, after: Option<&str>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(salt);
    for part in [before, after] {
        let part = part.map(str::as_bytes);
        hash.update([u8::from(part.is_some())]);
        hash.update((part.map_or(0, <[u8]>::len) as u64).to_be_bytes());
        hash.update(part.unwrap_or_default());
    }
    hash.finalize().into()
}

/// An event that is to be written down.
pub struct New<'a> {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub actor: &'a Actor,
    pub request_id: Option<&'a str>,
    pub address: Option<IpAddr>,
    pub event: &'a Event,
}

/// Writes an event down.
///
/// # Errors
/// When the database or the operating system's randomness is away.
pub fn insert(connection: &mut PgConnection, new: &New) -> Result<(), DbError> {
    let New { actor, event, .. } = new;
    let text = |value: &Option<Value>| value.as_ref().map(ToString::to_string);
    let (before, after) = (text(&event.before), text(&event.after));
    let has_details = before.is_some() || after.is_some();
    let salt = clock::random_bytes::<16>()
        .map_err(|error| DbError::Unavailable(format!("no randomness: {error}")))?;
    let hash = has_details.then(|| details_hash(&salt, before.as_deref(), after.as_deref()));
    Prepared::new(
        "WITH event AS (
            INSERT INTO audit_events (id, at, actor_kind, actor_id, actor_name, action, subject_kind, subject_id,
                request_id, address, person_id, details_hash)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ), unlinked AS (
            INSERT INTO audit_unlinked (event_id) VALUES ($1)
         )
         INSERT INTO audit_details (event_id, person_id, salt, before, after)
         SELECT $1, $11, $13, $14, $15 WHERE $12 IS NOT NULL",
        (
            new.id.into_sql::<SqlUuid>(),
            new.at.into_sql::<Timestamptz>(),
            actor.kind.as_str().into_sql::<Text>(),
            actor.id.into_sql::<Nullable<SqlUuid>>(),
            actor.name.as_deref().into_sql::<Nullable<Text>>(),
            event.action.as_str().into_sql::<Text>(),
            event.subject.kind.as_str().into_sql::<Text>(),
            event.subject.id.into_sql::<Nullable<SqlUuid>>(),
            new.request_id.into_sql::<Nullable<Text>>(),
            new.address
                .map(|address| address.to_string())
                .into_sql::<Nullable<Text>>(),
            event.person.into_sql::<Nullable<SqlUuid>>(),
            hash.map(|hash| hash.to_vec()).into_sql::<Nullable<Bytea>>(),
            salt.to_vec().into_sql::<Bytea>(),
            before.into_sql::<Nullable<Text>>(),
            after.into_sql::<Nullable<Text>>(),
        ),
    )
    .execute(connection)?;
    Ok(())
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = audit_events, check_for_backend(Pg))]
struct Row {
    id: Uuid,
    at: DateTime<Utc>,
    actor_kind: String,
    actor_id: Option<Uuid>,
    actor_name: Option<String>,
    action: String,
    subject_kind: String,
    subject_id: Option<Uuid>,
    request_id: Option<String>,
    address: Option<String>,
}

type Details = (Option<String>, Option<String>);

fn shown((row, details): (Row, Option<Details>)) -> Result<AuditEvent, DbError> {
    let (before, after) = details.unwrap_or_default();
    let value = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
    Ok(AuditEvent {
        id: row.id,
        at: row.at,
        actor: Actor {
            kind: stored(&row.actor_kind, ActorKind::from_name)?,
            id: row.actor_id,
            name: row.actor_name,
        },
        action: row.action,
        subject: Subject {
            kind: stored(&row.subject_kind, SubjectKind::from_name)?,
            id: row.subject_id,
        },
        request_id: row.request_id,
        address: row.address,
        before: value(before),
        after: value(after),
    })
}

/// Adds the filters to a query.
macro_rules! filtered {
    ($query:expr, $asked:expr) => {{
        let mut query = $query;
        if let Some(action) = $asked.action {
            query = query.filter(audit_events::action.eq(action.as_str()));
        }
        if let Some(id) = $asked.actor_id {
            query = query.filter(audit_events::actor_id.eq(id));
        }
        if let Some(id) = $asked.subject_id {
            query = query.filter(audit_events::subject_id.eq(id));
        }
        // Ids sort by time: the range of ids finds them, the time decides.
        if let Some(from) = $asked.from {
            query = query
                .filter(audit_events::id.ge(clock::first_id_at(from.0)))
                .filter(audit_events::at.ge(from.0));
        }
        if let Some(to) = $asked.to {
            query = query
                .filter(audit_events::id.lt(clock::first_id_at(
                    to.0 + chrono::TimeDelta::milliseconds(1),
                )))
                .filter(audit_events::at.lt(to.0));
        }
        query
    }};
}

/// One page of what matches, the newest first, and one row more.
///
/// # Errors
/// When the database is away.
pub fn list(
    connection: &mut PgConnection,
    asked: &ListQuery,
    after: Option<&Position>,
    limit: i64,
) -> Result<Vec<AuditEvent>, DbError> {
    let query = audit_events::table
        .left_join(audit_details::table.on(audit_details::event_id.eq(audit_events::id)))
        .select((
            Row::as_select(),
            (audit_details::before, audit_details::after).nullable(),
        ))
        .into_boxed::<Pg>();
    let mut query = filtered!(query, asked);
    if let Some(position) = after {
        query = query.filter(audit_events::id.lt(position.id));
    }
    let rows: Vec<(Row, Option<Details>)> = query
        .order(audit_events::id.desc())
        .limit(limit)
        .load(connection)?;
    rows.into_iter().map(shown).collect()
}

/// How many match.
///
/// # Errors
/// When the database is away.
pub fn count(connection: &mut PgConnection, asked: &ListQuery) -> Result<i64, DbError> {
    let query = audit_events::table
        .select(diesel::dsl::count_star())
        .into_boxed::<Pg>();
    Ok(filtered!(query, asked).get_result(connection)?)
}
