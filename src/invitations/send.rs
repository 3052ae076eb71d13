//! Sending: invitations and their messages, committed together, in a fixed number of statements.

use std::io::Write;

use chrono::{DateTime, Utc};
use diesel::{connection::SimpleConnection, prelude::*};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{
    domain::Overrides,
    ending, mailed,
    plan::{Decision, MailsADay, Notice, Plan, SkipReason},
    recipients,
};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    clock::Clock,
    db::WAKE_WORKERS,
    mail::catalogue::Lang,
    model::invitation::{Delivery, MessageKind, MessageState, State},
    schema::{batch_skips, batches, invitations, messages},
    secrets::keys::{Key, KeyRing},
    selection::{domain::Selection, queries::SelectionError},
    settings::{self, rules::Which},
    string_enum,
};

/// How many results an answer lists; `GET /batches/{id}/results` has them all.
const LISTED: usize = 1_000;

/// After so many invitations the planner's statistics are made anew, which takes a tenth of a second:
/// until autovacuum came by, lists would be planned for users whom nobody has invited.
const MANY: usize = 5_000;

string_enum! {
    /// What happened to a recipient.
    SendOutcome {
        Created = "created",
        Skipped = "skipped",
    }
}

/// What happened to one recipient.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = BatchResult)]
pub struct BatchResult {
    #[schema(required)]
    pub user_id: Option<Uuid>,
    pub outcome: SendOutcome,
    #[schema(required)]
    pub invitation_id: Option<Uuid>,
    /// Why the user was skipped.
    #[schema(required)]
    pub reason: Option<SkipReason>,
}

/// The answer of `POST /invitations/send`.
#[derive(Debug, Serialize, ToSchema)]
pub struct Sent {
    pub batch_id: Uuid,
    pub recipient_count: usize,
    pub accepted_count: usize,
    pub skipped_count: usize,
    /// The first 1,000.
    pub results: Vec<BatchResult>,
    pub notices: Vec<Notice>,
}

impl Sent {
    /// What the audit log says of it: one event, however many are invited.
    fn event(&self) -> Event {
        Event::new(Action::InvitationsSent, SubjectKind::Batch, self.batch_id).after(
            &serde_json::json!({
                "recipient_count": self.recipient_count,
                "accepted_count": self.accepted_count,
                "skipped_count": self.skipped_count,
            }),
        )
    }
}

/// Some forty bytes a recipient: beside the plan's own few all that is held of 100,000.
struct Invited {
    user: Uuid,
    invitation: Uuid,
    lang: Lang,
    which: Which,
}

/// Invites everybody who is selected and can be. Runs inside a transaction; nothing leaves the
/// machine here.
///
/// # Errors
/// [`SelectionError`]; then nothing may be kept.
pub fn send(
    connection: &mut PgConnection,
    trail: &Trail,
    keys: &KeyRing,
    selection: &Selection,
    overrides: &Overrides,
    mails_a_day: MailsADay,
) -> Result<Sent, SelectionError> {
    mailed::take_turn(connection)?;
    let (clock, now) = (&trail.clock, trail.clock.now());
    let rules = settings::queries::rules(connection, keys)?;
    let plan = Plan::of(&rules, overrides, mails_a_day);
    let batch_id = clock.new_id();

    let recipients = recipients::recipients(connection, selection, &rules, &plan, true, now)?;
    let recipient_count = recipients.len();
    let mut tally = plan.tally();
    let mut invited: Vec<Invited> = Vec::new();
    let mut skipped: Vec<(Uuid, SkipReason)> = Vec::new();
    let mut results: Vec<BatchResult> = Vec::new();
    for recipient in recipients {
        let user = recipient.user_id;
        let (outcome, invitation_id, reason) = match plan.decide(&recipient) {
            Decision::Invite => {
                let invitation = clock.new_id();
                tally.add(&plan, &recipient);
                invited.push(Invited {
                    user,
                    invitation,
                    lang: recipient.lang,
                    which: recipient.which,
                });
                (SendOutcome::Created, Some(invitation), None)
            }
            Decision::Skip(reason) => {
                skipped.push((user, reason));
                (SendOutcome::Skipped, None, Some(reason))
            }
        };
        if results.len() < LISTED {
            results.push(BatchResult {
                user_id: Some(user),
                outcome,
                invitation_id,
                reason,
            });
        }
    }

    ending::end_pending(
        connection,
        invited.iter().map(|invited| invited.user),
        State::Superseded,
        now,
    )?;
    diesel::insert_into(batches::table)
        .values((
            batches::id.eq(batch_id),
            batches::created_at.eq(now),
            batches::created_by.eq(trail.actor.label()),
            batches::note.eq(overrides.note.as_ref().map(super::domain::Note::as_str)),
            batches::recipient_count.eq(count(recipient_count)),
            batches::skipped_count.eq(count(skipped.len())),
        ))
        .execute(connection)?;
    copy_invitations(connection, batch_id, keys.signing(), &plan, &invited, now)?;
    if plan.delivery == Delivery::Email {
        copy_messages(connection, batch_id, clock, &invited, now)?;
    }
    copy_skips(connection, batch_id, &skipped)?;
    diesel::sql_query(include_str!("sql/note_newest.sql"))
        .bind::<diesel::sql_types::Uuid, _>(batch_id)
        .execute(connection)?;
    if invited.len() >= MANY {
        connection.batch_execute("SELECT enlist_analyze()")?;
    }

    let sent = Sent {
        batch_id,
        recipient_count,
        accepted_count: invited.len(),
        skipped_count: skipped.len(),
        results,
        notices: plan.notices(recipient_count, &tally),
    };
    trail.record(connection, &sent.event())?;
    Ok(sent)
}

/// At most 100,000, so it always fits.
fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

/// Text rows for COPY: ids, numbers and our own words only, so there is nothing to escape. By position, since they go out as they
/// are made: as structs, which the library wants all at once, 100,000 take as long and 20 to 40 MB of memory more.
fn copy_invitations(
    connection: &mut PgConnection,
    batch: Uuid,
    key: &Key,
    plan: &Plan,
    invited: &[Invited],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    use invitations as i;
    let created_at = now.to_rfc3339();
    let issued_at = match plan.delivery {
        Delivery::Email => "\\N",
        Delivery::None => created_at.as_str(),
    };
    diesel::copy_from(i::table)
        .from_raw_data(
            (
                i::id, i::batch_id, i::user_id, i::method, i::state, i::device_ownership, i::locale, i::key_id,
                i::counter, i::pin_length, i::pin_lifetime_days, i::pin_issued_at, i::created_at, i::expires_at,
                i::resend_count, i::registration_id,
            ),
            |copy| -> QueryResult<()> {
                let mut copy = std::io::BufWriter::with_capacity(64 * 1024, copy);
                for Invited { user, invitation, lang, which } in invited {
                    let terms = plan.terms(*which);
                    let registration = &terms.registration;
                    let expires_at = now + registration.invitation_lifetime();
                    write!(
                        copy,
                        "{invitation}\t{batch}\t{user}\t{}\t{}\t{}\t{}\t{}\t0\t{}\t{}\t{issued_at}\t{created_at}\t{}\t0\t",
                        terms.method, State::Pending, terms.device_ownership, lang.as_str(), key.id(), registration.pin_length,
                        registration.pin_lifetime_days, expires_at.to_rfc3339(),
                    )
                    .map_err(copy_failed)?;
                    match terms.registration_id {
                        Some(version) => writeln!(copy, "{version}"),
                        None => writeln!(copy, "\\N"),
                    }
                    .map_err(copy_failed)?;
                }
                copy.flush().map_err(copy_failed)
            },
        )
        .execute(connection)?;
    Ok(())
}

fn copy_messages(
    connection: &mut PgConnection,
    batch: Uuid,
    clock: &Clock,
    invited: &[Invited],
    now: DateTime<Utc>,
) -> QueryResult<()> {
    use messages as m;
    let at = now.to_rfc3339();
    let (kind, state) = (MessageKind::Invitation, MessageState::Queued);
    diesel::copy_from(m::table)
        .from_raw_data(
            (
                m::id,
                m::kind,
                m::invitation_id,
                m::batch_id,
                m::state,
                m::attempts,
                m::due_at,
                m::created_at,
            ),
            |copy| -> QueryResult<()> {
                let mut copy = std::io::BufWriter::with_capacity(64 * 1024, copy);
                for Invited { invitation, .. } in invited {
                    let id = clock.new_id();
                    writeln!(
                        copy,
                        "{id}\t{kind}\t{invitation}\t{batch}\t{state}\t0\t{at}\t{at}"
                    )
                    .map_err(copy_failed)?;
                }
                copy.flush().map_err(copy_failed)
            },
        )
        .execute(connection)?;
    connection.batch_execute(WAKE_WORKERS)
}

/// Somebody who was passed over.
#[derive(Insertable)]
#[diesel(table_name = batch_skips, treat_none_as_default_value = false)]
struct NewSkip {
    batch_id: Uuid,
    user_id: Uuid,
    reason: SkipReason,
}

fn copy_skips(
    connection: &mut PgConnection,
    batch_id: Uuid,
    skipped: &[(Uuid, SkipReason)],
) -> QueryResult<()> {
    let rows = skipped.iter().map(|(user_id, reason)| NewSkip {
        batch_id,
        user_id: *user_id,
        reason: *reason,
    });
    diesel::copy_from(batch_skips::table)
        .from_insertable(rows.collect::<Vec<_>>())
        .execute(connection)?;
    Ok(())
}

fn copy_failed(error: std::io::Error) -> diesel::result::Error {
    diesel::result::Error::SerializationError(Box::new(error))
}
