//! How often users were mailed invitations lately (PRODUCT §7). Whoever queues some looks here first, and those who send
//! take turns, over all instances: what is counted is what is committed. PINs that were asked for are not counted, or
//! strangers could use the mails of whoever sends up.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};
use diesel::{
    connection::SimpleConnection,
    prelude::*,
    sql_types::{Array, BigInt, Nullable, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::plan::MailsADay;
use crate::{
    clock::first_id_at,
    db::{CUSTOM_PLAN, DbError},
};

/// The lock under which sends and resends take turns: "send" in ASCII.
const SEND_LOCK: i64 = 0x7365_6e64;

/// Waits for those who send, and lets others wait until the end of the transaction: a filter such as "not invited yet" is
/// only true of what is committed, too.
pub(super) fn take_turn(connection: &mut PgConnection) -> Result<(), DbError> {
    Ok(connection.batch_execute(&format!(
        "{CUSTOM_PLAN}; SELECT pg_advisory_xact_lock({SEND_LOCK})"
    ))?)
}

/// Up to so many users are looked up one by one.
const FEW: usize = 1_000;
/// How long an invitation may live, and a day.
const LONGEST_LIFE: Duration = Duration::days(31);

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = SqlUuid)]
    user_id: Uuid,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    oldest: Option<DateTime<Utc>>,
}

/// Who was mailed as many invitations within a day as may be, these among them, and when the first of those mails is a
/// day old: in one statement for 100,000 as for one. However the mails ended, each was one.
///
/// # Errors
/// When the database is away.
pub fn too_often(
    connection: &mut PgConnection,
    users: &[Uuid],
    most: MailsADay,
    now: DateTime<Utc>,
) -> Result<HashMap<Uuid, DateTime<Utc>>, DbError> {
    let day = Duration::hours(24);
    // Few are looked up; of many it is quicker to count for all. Ids sort by time, so their indexes find the last day's
    // mails (what is a day old to the millisecond is none of them) and all invitations that still live.
    let few = Some(users).filter(|users| users.len() <= FEW);
    let rows: Vec<Row> = diesel::sql_query(include_str!("sql/too_often.sql"))
        .bind::<SqlUuid, _>(first_id_at(now - day + Duration::milliseconds(1)))
        .bind::<SqlUuid, _>(first_id_at(now - LONGEST_LIFE))
        .bind::<BigInt, _>(i64::from(most.0.get()))
        .bind::<Nullable<Array<SqlUuid>>, _>(few)
        .load(connection)?;
    Ok(rows
        .into_iter()
        .map(|row| (row.user_id, row.oldest.unwrap_or(now) + day))
        .collect())
}
