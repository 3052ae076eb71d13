//! The audit log in the database.

use std::net::IpAddr;

use chrono::{DateTime, Utc};
use diesel::{
    dsl::{IntoBoxed, auto_type, sql},
    pg::Pg,
    prelude::*,
    sql_types::{BigInt, Bytea, Integer, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use serde_json::Value;
use uuid::Uuid;

use super::{
    domain::{
        Action, Actor, ActorKind, AuditEvent, Event, ListQuery, ShownActor, ShownSubject,
        Signature, SubjectKind,
    },
    rows::{EventRow, Who},
    signature::{Content, Found, WhoOf, salted},
};
use crate::{
    clock,
    db::{DbError, prepared::Prepared, text_enum::text_enum},
    http::paging::Position,
    schema::{audit_details, audit_events},
    secrets::keys::{Key, KeyRing},
};

// Of what is read most stays text: a newer version may have written it, or somebody else.
text_enum!(Action, ActorKind, SubjectKind);

/// An event that is to be written down.
pub struct New<'a> {
    pub id: Uuid,
    pub at: DateTime<Utc>,
    pub actor: &'a Actor,
    pub request_id: Option<&'a str>,
    pub address: Option<IpAddr>,
    pub event: &'a Event,
    /// The key that signs it; a shell may have none.
    pub key: Option<&'a Key>,
}

#[derive(QueryableByName)]
struct Written {
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// Writes an event down, with the signature of whoever writes it.
///
/// # Errors
/// When the database or the operating system's randomness is away, or the tables do not take what is written.
pub fn insert(connection: &mut PgConnection, new: &New) -> Result<(), DbError> {
    let New { actor, event, .. } = new;
    let text = |value: &Option<Value>| value.as_ref().map(ToString::to_string);
    let (before, after) = (text(&event.before), text(&event.after));
    let has_details = before.is_some() || after.is_some();
    let salt = clock::random_bytes::<16>().map_err(no_randomness)?;
    let details_hash = has_details.then(|| salted(&salt, before.as_deref(), after.as_deref()));
    let who_salt = clock::random_bytes::<16>().map_err(no_randomness)?;
    let address = new.address.map(|address| address.to_string());
    let who_hash = salted(&who_salt, actor.name.as_deref(), address.as_deref());
    let content = Content {
        id: new.id,
        at: new.at,
        actor_kind: actor.kind.as_str(),
        actor_id: actor.id,
        action: event.action.as_str(),
        subject_kind: event.subject.kind.as_str(),
        subject_id: event.subject.id,
        request_id: new.request_id,
        person_id: event.person,
        who: WhoOf::Hashed(&who_hash),
        details_hash: details_hash.as_ref().map(<[u8; 32]>::as_slice),
    };
    let mac = new.key.map(|key| content.mac(key).to_vec());
    let written: Written = Prepared::new(
        include_str!("sql/insert.sql"),
        (
            new.id.into_sql::<SqlUuid>(),
            new.at.into_sql::<Timestamptz>(),
            actor.kind.into_sql::<Text>(),
            actor.id.into_sql::<Nullable<SqlUuid>>(),
            actor.name.as_deref().into_sql::<Nullable<Text>>(),
            event.action.into_sql::<Text>(),
            event.subject.kind.into_sql::<Text>(),
            event.subject.id.into_sql::<Nullable<SqlUuid>>(),
            new.request_id.into_sql::<Nullable<Text>>(),
            address.into_sql::<Nullable<Text>>(),
            event.person.into_sql::<Nullable<SqlUuid>>(),
            details_hash
                .map(|hash| hash.to_vec())
                .into_sql::<Nullable<Bytea>>(),
            salt.to_vec().into_sql::<Bytea>(),
            before.into_sql::<Nullable<Text>>(),
            after.into_sql::<Nullable<Text>>(),
            new.key.map(Key::id).into_sql::<Nullable<Text>>(),
            mac.into_sql::<Nullable<Bytea>>(),
            who_salt.to_vec().into_sql::<Bytea>(),
            who_hash.to_vec().into_sql::<Bytea>(),
        ),
    )
    .get_result(connection)?;
    // A trigger that swallows rows would hide what is being done: then it is not done.
    if written.rows != 2 + i64::from(has_details) {
        return Err(DbError::Stored(
            "the tables of the audit log do not take what is written to them".into(),
        ));
    }
    Ok(())
}

fn no_randomness(error: impl std::fmt::Display) -> DbError {
    DbError::Unavailable(format!("no randomness: {error}"))
}

/// How it was and how it was made, and what their hash is made with.
#[derive(Queryable, Selectable)]
#[diesel(table_name = audit_details, check_for_backend(Pg))]
struct Details {
    /// There always is one; but nobody knows what somebody made of the table.
    #[diesel(select_expression = audit_details::salt.nullable())]
    salt: Option<Vec<u8>>,
    before: Option<String>,
    after: Option<String>,
}

fn shown(row: EventRow, details: Option<Details>, keys: &KeyRing) -> AuditEvent {
    let signature = signature(&row, details.as_ref(), keys);
    let (before, after) = details.map_or((None, None), |details| (details.before, details.after));
    let value = |text: Option<String>| text.and_then(|text| serde_json::from_str(&text).ok());
    AuditEvent {
        id: row.id,
        at: row.at,
        actor: ShownActor {
            kind: row.actor_kind,
            id: row.actor_id,
            name: row.actor_name,
        },
        action: row.action,
        subject: ShownSubject {
            kind: row.subject_kind,
            id: row.subject_id,
        },
        request_id: row.request_id,
        address: row.address,
        signature,
        before: value(before),
        after: value(after),
    }
}

/// What is to be said of a signature: it covers hashes of who it was and of the details, which must fit what is shown.
fn signature(event: &EventRow, details: Option<&Details>, keys: &KeyRing) -> Signature {
    let fits = match (details, event.details_hash.as_deref()) {
        // Nothing is shown; whether it may be gone is for `verify` to say.
        (None, _) => true,
        (
            Some(Details {
                salt: None,
                before: None,
                after: None,
            }),
            _,
        ) => true,
        (
            Some(Details {
                salt: Some(salt),
                before,
                after,
            }),
            Some(hash),
        ) => salted(salt, before.as_deref(), after.as_deref())[..] == *hash,
        _ => false,
    };
    match event.found(keys) {
        _ if !fits || event.who() == Who::Changed => Signature::Wrong,
        Found::Genuine => Signature::Genuine,
        Found::Unsigned => Signature::Missing,
        Found::Unknown => Signature::UnknownKey,
        Found::Changed => Signature::Wrong,
    }
}

/// Bytes of a page, and of an event without its details.
const PAGE_SIZE: i64 = 1024 * 1024;
const ENVELOPE: i64 = 512;

/// Events, each with its details where there are some.
#[auto_type]
fn with_details() -> _ {
    audit_events::table
        .left_join(audit_details::table.on(audit_details::event_id.eq(audit_events::id)))
}

/// What is asked for, behind where a page ended.
fn matching<'a>(asked: &ListQuery, after: Option<&Position>) -> IntoBoxed<'a, with_details, Pg> {
    let mut query = with_details().into_boxed();
    if let Some(id) = asked.id {
        query = query.filter(audit_events::id.eq(id));
    }
    if let Some(action) = asked.action {
        query = query.filter(audit_events::action.eq(action));
    }
    if let Some(id) = asked.actor_id {
        query = query.filter(audit_events::actor_id.eq(id));
    }
    if let Some(id) = asked.subject_id {
        query = query.filter(audit_events::subject_id.eq(id));
    }
    // Ids sort by time: the range of ids finds them, the time decides.
    if let Some(from) = asked.from {
        query = query
            .filter(audit_events::id.ge(clock::first_id_at(from.0)))
            .filter(audit_events::at.ge(from.0));
    }
    if let Some(to) = asked.to {
        query = query
            .filter(audit_events::id.lt(clock::first_id_at(
                to.0 + chrono::TimeDelta::milliseconds(1),
            )))
            .filter(audit_events::at.lt(to.0));
    }
    if let Some(position) = after {
        query = query.filter(audit_events::id.lt(position.id));
    }
    query
}

/// One page of what matches, the newest first, and one row more.
///
/// # Errors
/// When the database is away.
pub fn list(
    connection: &mut PgConnection,
    asked: &ListQuery,
    keys: &KeyRing,
    after: Option<&Position>,
    limit: i64,
) -> Result<Vec<AuditEvent>, DbError> {
    let rows: Vec<(EventRow, Option<Details>)> = matching(asked, after)
        .select((EventRow::as_select(), Option::<Details>::as_select()))
        .order(audit_events::id.desc())
        .limit(limit)
        .load(connection)?;
    let shown = rows
        .into_iter()
        .map(|(row, details)| shown(row, details, keys));
    Ok(shown.collect())
}

/// How many of the next events make a page of about a megabyte: one at least. Sizes are known without reading what is
/// so large.
///
/// # Errors
/// When the database is away.
pub fn fitting(
    connection: &mut PgConnection,
    asked: &ListQuery,
    after: Option<&Position>,
    limit: usize,
) -> Result<usize, DbError> {
    let size = "coalesce(octet_length(audit_details.before), 0) + coalesce(octet_length(audit_details.after), 0)";
    let sizes: Vec<i32> = matching(asked, after)
        .select(sql::<Integer>(size))
        .order(audit_events::id.desc())
        .limit(i64::try_from(limit).unwrap_or(i64::MAX))
        .load(connection)?;
    let mut left = PAGE_SIZE;
    let fitting = sizes.into_iter().take_while(|size| {
        left -= i64::from(*size) + ENVELOPE;
        left >= 0
    });
    Ok(fitting.count().max(1))
}

/// How many match.
///
/// # Errors
/// When the database is away.
pub fn count(connection: &mut PgConnection, asked: &ListQuery) -> Result<i64, DbError> {
    Ok(matching(asked, None).count().get_result(connection)?)
}

/// How many ends were told that the chain no longer has. Those that are older than what is remembered are no loss.
///
/// # Errors
/// When the database is away.
pub fn lost_ends(connection: &mut PgConnection) -> Result<i64, DbError> {
    #[derive(QueryableByName)]
    struct Lost {
        #[diesel(sql_type = BigInt)]
        ends: i64,
    }
    let lost: Lost = diesel::sql_query(include_str!("sql/lost_ends.sql")).get_result(connection)?;
    Ok(lost.ends)
}
