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
    Ok(diesel::sql_query(include_str!("sql/about.sql"))
        .bind::<SqlUuid, _>(person)
        .bind::<SqlUuid, _>(after)
        .bind::<BigInt, _>(limit)
        .bind::<Array<SqlUuid>, _>(things)
        .load(connection)?)
}
