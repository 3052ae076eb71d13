//! Reports in the database: what they change.

use diesel::{
    prelude::*,
    sql_types::{Int2, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::{
    domain::{BounceOutcome, Taken},
    report::{Report, Verdict, Words},
};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    db::DbError,
    schema::bounce_counts,
    secrets::{keys::KeyRing, return_path::Returned},
};

/// A message that a report is about, and who it was to.
#[derive(QueryableByName)]
struct Message {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    invitation_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    user_id: Option<Uuid>,
    #[diesel(sql_type = Nullable<Text>)]
    email: Option<String>,
}

/// Does what a report says, and counts it. Runs inside a transaction.
///
/// # Errors
/// When the database is away.
pub fn apply(
    connection: &mut PgConnection,
    keys: &KeyRing,
    trail: &Trail,
    returned: Option<Returned>,
    report: Option<&Report>,
) -> Result<Taken, DbError> {
    let mut taken = Taken {
        outcome: BounceOutcome::Unmatched,
        message_id: None,
        invitation_id: None,
        is_suppressed: false,
    };
    let found = match returned {
        Some(returned) => lock(connection, returned.message)?.map(|message| (returned, message)),
        None => None,
    };
    if let Some((returned, message)) = found {
        taken.message_id = Some(message.id);
        taken.invitation_id = message.invitation_id;
        let address = message
            .email
            .as_deref()
            .filter(|address| returned.went_to(keys, address));
        let verdict = report.map(|report| Verdict::of(report, address));
        taken.outcome = match &verdict {
            None | Some(Verdict::Delivered) => BounceOutcome::Ignored,
            Some(Verdict::Late(words)) => {
                note(connection, message.id, words)?;
                BounceOutcome::Soft
            }
            Some(Verdict::Bounced { words, is_hard, .. }) => {
                mark(connection, message.id, words)?;
                if *is_hard {
                    BounceOutcome::Hard
                } else {
                    BounceOutcome::Soft
                }
            }
            Some(Verdict::Complained { .. }) => BounceOutcome::Complained,
        };
        let against = verdict.and_then(Verdict::against_the_address);
        if let (Some(user), Some(address), Some(words)) = (message.user_id, address, against) {
            suppress(connection, trail, user, address, &words)?;
            taken.is_suppressed = true;
        }
    }
    // The last statement: other reports wait for this row until the end of the transaction.
    count_report(connection, taken.outcome)?;
    Ok(taken)
}

/// Holds the message: whoever is writing its result now is waited for.
fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Option<Message>, DbError> {
    Ok(diesel::sql_query(
        "SELECT m.id, i.id AS invitation_id, u.id AS user_id, u.email
         FROM messages m
         LEFT JOIN enrollments e ON e.id = m.enrollment_id AND m.kind = 'confirmation'
         LEFT JOIN invitations i ON i.id = m.invitation_id
         LEFT JOIN users u ON u.id = coalesce(e.user_id, i.user_id)
         WHERE m.id = $1 FOR NO KEY UPDATE OF m",
    )
    .bind::<SqlUuid, _>(id)
    .get_result(connection)
    .optional()?)
}

/// A report may come before the result of the try that it is about, or after an answer that was lost: then nobody tries
/// again, and the late result changes nothing. What ended otherwise stays as it is.
fn mark(connection: &mut PgConnection, id: Uuid, words: &Words) -> Result<(), DbError> {
    diesel::sql_query(
        "UPDATE messages SET state = 'bounced', smtp_code = $4, enhanced_status = $2, reason = $3
         WHERE id = $1 AND state IN ('accepted', 'sending', 'deferred')",
    )
    .bind::<SqlUuid, _>(id)
    .bind::<Nullable<Text>, _>(words.status.as_deref())
    .bind::<Nullable<Text>, _>(words.reason.as_deref())
    .bind::<Nullable<Int2>, _>(words.code)
    .execute(connection)?;
    Ok(())
}

/// What a server said of a mail that may still arrive. What it said of one that did not stays.
fn note(connection: &mut PgConnection, id: Uuid, words: &Words) -> Result<(), DbError> {
    diesel::sql_query(
        "UPDATE messages SET smtp_code = $4, enhanced_status = $2, reason = $3 WHERE id = $1 AND state = 'accepted'",
    )
    .bind::<SqlUuid, _>(id)
    .bind::<Nullable<Text>, _>(words.status.as_deref())
    .bind::<Nullable<Text>, _>(words.reason.as_deref())
    .bind::<Nullable<Int2>, _>(words.code)
    .execute(connection)?;
    Ok(())
}

#[derive(QueryableByName)]
struct Made {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
}

/// Nothing is sent to the address any more; the first report says why. Of a user who is deleted meanwhile nothing is kept.
fn suppress(
    connection: &mut PgConnection,
    trail: &Trail,
    user: Uuid,
    address: &str,
    words: &Words,
) -> Result<(), DbError> {
    let made: Option<Made> = diesel::sql_query(
        "INSERT INTO suppressions (id, email, user_id, enhanced_status, reason, created_at)
         SELECT $1, lower($2 COLLATE \"und-x-icu\"), u.id, $4, $5, $6 FROM users u WHERE u.id = $3 FOR KEY SHARE
         ON CONFLICT (email) DO NOTHING RETURNING id",
    )
    .bind::<SqlUuid, _>(trail.clock.new_id())
    .bind::<Text, _>(address)
    .bind::<SqlUuid, _>(user)
    .bind::<Nullable<Text>, _>(words.status.as_deref())
    .bind::<Nullable<Text>, _>(words.reason.as_deref())
    .bind::<Timestamptz, _>(trail.clock.now())
    .get_result(connection)
    .optional()?;
    if let Some(Made { id }) = made {
        let event = Event::new(Action::SuppressionAdded, SubjectKind::Suppression, id)
            .after(&serde_json::json!({"email": address, "enhanced_status": words.status}))
            .about(user);
        trail.record(connection, &event)?;
    }
    Ok(())
}

fn count_report(connection: &mut PgConnection, outcome: BounceOutcome) -> Result<(), DbError> {
    use bounce_counts as c;
    diesel::insert_into(c::table)
        .values((c::outcome.eq(outcome.as_str()), c::reports.eq(1)))
        .on_conflict(c::outcome)
        .do_update()
        .set(c::reports.eq(c::reports + 1))
        .execute(connection)?;
    Ok(())
}

/// How many reports came to each outcome since the database was made.
///
/// # Errors
/// When the database is away.
pub fn counts(connection: &mut PgConnection) -> Result<Vec<(String, i64)>, DbError> {
    Ok(bounce_counts::table
        .select((bounce_counts::outcome, bounce_counts::reports))
        .load(connection)?)
}
