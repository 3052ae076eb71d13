//! What is stored of the log and beside it, as verifying needs it.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Bool, Bytea, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::rows::{COLUMNS, EventRow};
use crate::db::DbError;

/// Events that are looked at at a time: their details may be large.
pub(super) const AT_ONCE: usize = 200;
const LIMIT: i64 = 200;

/// How long after an upgrade instances of the older version may still write and not sign.
const GRACE: TimeDelta = TimeDelta::hours(24);

/// Until when events that nobody signed are those of an older version.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grace {
    /// `None`: no link of this version is there yet.
    upgraded_until: Option<DateTime<Utc>>,
    is_begun: bool,
    now: DateTime<Utc>,
}

#[derive(QueryableByName)]
struct Upgrade {
    #[diesel(sql_type = Bool)]
    is_begun: bool,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    upgraded_at: Option<DateTime<Utc>>,
}

impl Grace {
    pub(super) fn of(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<Self, DbError> {
        let upgrade: Upgrade = diesel::sql_query(
            "SELECT EXISTS (SELECT FROM audit_links WHERE linked_at IS NOT NULL)
                OR EXISTS (SELECT FROM audit_beginning WHERE until IS NOT NULL) AS is_begun,
                (SELECT min(l.linked_at) FROM audit_events e JOIN audit_links l ON l.event_id = e.id
                 WHERE e.action = 'audit_log.upgraded' AND e.mac IS NOT NULL) AS upgraded_at",
        )
        .get_result(connection)?;
        Ok(Self {
            upgraded_until: upgrade.upgraded_at.map(|at| at + GRACE),
            is_begun: upgrade.is_begun,
            now,
        })
    }

    /// Whether an event that was linked then (`None`: that is not linked yet) may be one of an older version.
    pub(super) fn allows(self, linked_at: Option<DateTime<Utc>>) -> bool {
        match self.upgraded_until {
            Some(until) => linked_at.unwrap_or(self.now) <= until,
            None => !self.is_begun,
        }
    }
}

/// A link, the details of its event, and whether what is missing of these may be missing.
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
    #[diesel(sql_type = Nullable<Bytea>)]
    pub(super) salt: Option<Vec<u8>>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) before: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    pub(super) after: Option<String>,
    /// An event tells that the person or operator is gone whom the details were about.
    #[diesel(sql_type = Bool)]
    pub(super) may_lack_details: bool,
    /// An event tells that the operator who did it was erased.
    #[diesel(sql_type = Bool)]
    pub(super) is_operator_erased: bool,
}

/// An event without a link.
pub(super) struct Waiting {
    pub(super) event: EventRow,
    /// Of a link, only what is beside it.
    pub(super) beside: LinkRow,
    pub(super) queued: bool,
}

/// What every row has beside its link: `$3` is until when deletions may be unsigned.
const BESIDE: &str = "d.salt, d.before, d.after,
    d.event_id IS NULL AND e.details_hash IS NOT NULL AND EXISTS (
        SELECT FROM audit_events x LEFT JOIN audit_links y ON y.event_id = x.id
        LEFT JOIN audit_unlinked z ON z.event_id = x.id
        WHERE (x.action = 'user.deleted' AND x.subject_id = e.person_id
                AND (x.mac IS NOT NULL OR (y.position IS NOT NULL AND y.linked_at IS NULL) OR y.linked_at <= $3)
            OR x.action = 'operator.erased' AND x.subject_id = e.subject_id AND e.subject_kind = 'operator'
                AND x.mac IS NOT NULL)
            AND (y.event_id IS NOT NULL OR z.event_id IS NOT NULL)
    ) AS may_lack_details,
    e.actor_kind IS NOT DISTINCT FROM 'operator' AND e.actor_name IS NULL AND EXISTS (
        SELECT FROM audit_events x LEFT JOIN audit_links y ON y.event_id = x.id
        LEFT JOIN audit_unlinked z ON z.event_id = x.id
        WHERE x.action = 'operator.erased' AND x.subject_id = e.actor_id AND x.mac IS NOT NULL
            AND (y.event_id IS NOT NULL OR z.event_id IS NOT NULL)
    ) AS is_operator_erased";

/// The links behind one, in their order.
pub(super) fn links(
    connection: &mut PgConnection,
    (position, event): (i64, Uuid),
    grace: Grace,
) -> Result<Vec<LinkRow>, DbError> {
    Ok(diesel::sql_query(format!(
        "SELECT l.position, l.event_id, l.key_id, l.mac, l.linked_at, {BESIDE}
         FROM audit_links l LEFT JOIN audit_events e ON e.id = l.event_id LEFT JOIN audit_details d ON d.event_id = l.event_id
         WHERE (l.position, l.event_id) > ($1, $2) ORDER BY l.position, l.event_id LIMIT $4"
    ))
    .bind::<BigInt, _>(position)
    .bind::<SqlUuid, _>(event)
    .bind::<Nullable<Timestamptz>, _>(grace.upgraded_until)
    .bind::<BigInt, _>(LIMIT)
    .load(connection)?)
}

/// Events by their ids.
pub(super) fn events(
    connection: &mut PgConnection,
    ids: &[Uuid],
) -> Result<HashMap<Uuid, EventRow>, DbError> {
    let events: Vec<EventRow> = diesel::sql_query(format!(
        "SELECT {COLUMNS} FROM audit_events e WHERE e.id = ANY ($1)"
    ))
    .bind::<Array<SqlUuid>, _>(ids)
    .load(connection)?;
    Ok(events.into_iter().map(|event| (event.id, event)).collect())
}

#[derive(QueryableByName)]
struct WaitingRow {
    #[diesel(embed)]
    beside: LinkRow,
    #[diesel(sql_type = Bool)]
    queued: bool,
}

/// Events without a link behind one, in the order of their ids.
pub(super) fn waiting(
    connection: &mut PgConnection,
    after: Uuid,
    grace: Grace,
) -> Result<Vec<Waiting>, DbError> {
    let rows: Vec<WaitingRow> = diesel::sql_query(format!(
        "SELECT 0::bigint AS position, e.id AS event_id, '' AS key_id, ''::bytea AS mac, NULL::timestamptz AS linked_at,
            EXISTS (SELECT FROM audit_unlinked q WHERE q.event_id = e.id) AS queued, {BESIDE}
         FROM audit_events e LEFT JOIN audit_details d ON d.event_id = e.id
         WHERE e.id > $1 AND NOT EXISTS (SELECT FROM audit_links l WHERE l.event_id = e.id)
         ORDER BY e.id LIMIT $2"
    ))
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(LIMIT)
    .bind::<Nullable<Timestamptz>, _>(grace.upgraded_until)
    .load(connection)?;
    let ids: Vec<Uuid> = rows.iter().map(|row| row.beside.event_id).collect();
    let mut events = events(connection, &ids)?;
    let with_event = |WaitingRow { beside, queued }| {
        let event = events.remove(&beside.event_id)?;
        Some(Waiting {
            event,
            beside,
            queued,
        })
    };
    Ok(rows.into_iter().filter_map(with_event).collect())
}

/// Somebody or something that is let in.
#[derive(QueryableByName)]
pub(super) struct Account {
    #[diesel(sql_type = Text)]
    pub(super) kind: String,
    #[diesel(sql_type = SqlUuid)]
    pub(super) id: Uuid,
    #[diesel(sql_type = Text)]
    pub(super) name: String,
    #[diesel(sql_type = Timestamptz)]
    pub(super) created_at: DateTime<Utc>,
}

/// The API keys and operators that were there at the upgrade, and of whom no event told who made them.
pub(super) fn accounts_of_upgrade(connection: &mut PgConnection) -> Result<Vec<Uuid>, DbError> {
    let rows: Vec<Ids> = diesel::sql_query(
        "SELECT account::uuid AS id FROM audit_events e JOIN audit_details d ON d.event_id = e.id,
            jsonb_array_elements_text(d.after::jsonb -> 'accounts') account
         WHERE e.action = 'audit_log.upgraded' AND e.mac IS NOT NULL",
    )
    .load(connection)?;
    Ok(rows.into_iter().map(|row| row.id).collect())
}

#[derive(QueryableByName)]
struct Ids {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// API keys that work and operators of whom no event tells who made them.
pub(super) fn unexplained_accounts(connection: &mut PgConnection) -> Result<Vec<Account>, DbError> {
    Ok(diesel::sql_query(
        "SELECT a.* FROM (
            SELECT 'API key' AS kind, 'api_key.created' AS made, id, name, created_at FROM api_keys WHERE revoked_at IS NULL
            UNION ALL
            SELECT 'operator', 'operator.created', id, email, created_at FROM operators
         ) a
         WHERE NOT EXISTS (SELECT FROM audit_events e WHERE e.subject_id = a.id AND e.action = a.made)
         ORDER BY a.id",
    )
    .load(connection)?)
}
