//! Reports in the database: what they change.

use diesel::{
    prelude::*,
    sql_types::{Nullable, Text, Timestamptz, Uuid as SqlUuid},
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
    db::{DbError, text_enum::text_enum},
    model::invitation::MessageState,
    schema::{bounce_counts, messages},
    secrets::{keys::KeyRing, return_path::Returned},
};

text_enum!(BounceOutcome);

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
    Ok(diesel::sql_query(include_str!("sql/hold_message.sql"))
        .bind::<SqlUuid, _>(id)
        .get_result(connection)
        .optional()?)
}

/// What a server said of a message, as it is stored.
#[derive(AsChangeset)]
#[diesel(table_name = messages, treat_none_as_null = true)]
struct Said<'a> {
    smtp_code: Option<i16>,
    enhanced_status: Option<&'a str>,
    reason: Option<&'a str>,
}

fn said(words: &Words) -> Said<'_> {
    Said {
        smtp_code: words.code,
        enhanced_status: words.status.as_deref(),
        reason: words.reason.as_deref(),
    }
}

/// A report may come before the result of the try that it is about, or after an answer that was lost: then nobody tries
/// again, and the late result changes nothing. What ended otherwise stays as it is.
fn mark(connection: &mut PgConnection, id: Uuid, words: &Words) -> Result<(), DbError> {
    let open = [
        MessageState::Accepted,
        MessageState::Sending,
        MessageState::Deferred,
    ];
    diesel::update(
        messages::table
            .find(id)
            .filter(messages::state.eq_any(open)),
    )
    .set((messages::state.eq(MessageState::Bounced), said(words)))
    .execute(connection)?;
    Ok(())
}

/// What a server said of a mail that may still arrive. What it said of one that did not stays.
fn note(connection: &mut PgConnection, id: Uuid, words: &Words) -> Result<(), DbError> {
    let accepted = messages::state.eq(MessageState::Accepted);
    diesel::update(messages::table.find(id).filter(accepted))
        .set(said(words))
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
    let made: Option<Made> = diesel::sql_query(include_str!("sql/suppress.sql"))
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
        .values((c::outcome.eq(outcome), c::reports.eq(1)))
        .on_conflict(c::outcome)
        .do_update()
        .set(c::reports.eq(c::reports + 1))
        .execute(connection)?;
    Ok(())
}

/// How many reports came to each outcome since the database was made: as text, since a newer version may know more outcomes.
///
/// # Errors
/// When the database is away.
pub fn counts(connection: &mut PgConnection) -> Result<Vec<(String, i64)>, DbError> {
    Ok(bounce_counts::table
        .select((bounce_counts::outcome, bounce_counts::reports))
        .load(connection)?)
}
