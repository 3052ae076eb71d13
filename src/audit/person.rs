//! What the log holds about one person, for that person: not who else had to do with it, and from where.

use chrono::{DateTime, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, BigInt, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use serde::{Serialize, Serializer};
use serde_json::Value;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::db::DbError;

/// An event about a person.
#[derive(Debug, QueryableByName, Serialize, ToSchema)]
pub struct EventAboutPerson {
    #[diesel(sql_type = SqlUuid)]
    pub id: Uuid,
    #[diesel(sql_type = Timestamptz)]
    pub at: DateTime<Utc>,
    #[diesel(sql_type = Text)]
    pub action: String,
    /// What kind of caller did it.
    #[diesel(sql_type = Text)]
    pub actor_kind: String,
    /// How it was, as far as that is about the person.
    #[diesel(sql_type = Nullable<Text>)]
    #[serde(serialize_with = "as_it_was_written")]
    #[schema(required, value_type = Option<Object>)]
    pub before: Option<String>,
    /// How it was made.
    #[diesel(sql_type = Nullable<Text>)]
    #[serde(serialize_with = "as_it_was_written")]
    #[schema(required, value_type = Option<Object>)]
    pub after: Option<String>,
}

fn as_it_was_written<S: Serializer>(
    details: &Option<String>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let details = details.as_deref();
    details
        .and_then(|text| serde_json::from_str::<Value>(text).ok())
        .serialize(serializer)
}

/// The next events that were done to a person or to things of theirs, or that name one of these; the oldest first. Details
/// are shown where they are about the person alone.
///
/// # Errors
/// When the database is away.
pub fn about(
    connection: &mut PgConnection,
    person: Uuid,
    things: &[Uuid],
    after: Uuid,
    limit: i64,
) -> Result<Vec<EventAboutPerson>, DbError> {
    Ok(diesel::sql_query(
        // By itself, so that it is found by what it names and not by reading all in the order of ids.
        "WITH named AS MATERIALIZED (
            SELECT event_id FROM audit_details WHERE enlist_ids_in(before, after) && $4::text[]
         )
         SELECT e.id, e.at, e.action, e.actor_kind, d.before, d.after
         FROM (
            (SELECT id FROM audit_events WHERE subject_id = ANY ($4) AND id > $2 ORDER BY id LIMIT $3)
            UNION
            (SELECT event_id FROM named WHERE event_id > $2 ORDER BY event_id LIMIT $3)
            UNION
            (SELECT event_id FROM audit_details WHERE person_id = $1 AND event_id > $2 ORDER BY event_id LIMIT $3)
            ORDER BY id LIMIT $3
         ) found
         JOIN audit_events e ON e.id = found.id
         LEFT JOIN audit_details d ON d.event_id = e.id AND d.person_id = $1
         ORDER BY e.id",
    )
    .bind::<SqlUuid, _>(person)
    .bind::<SqlUuid, _>(after)
    .bind::<BigInt, _>(limit)
    .bind::<Array<SqlUuid>, _>(things)
    .load(connection)?)
}
