//! Sending invitations again.

use chrono::{DateTime, Utc};
use diesel::{
    connection::SimpleConnection,
    dsl::exists,
    prelude::*,
    sql_types::{Array, Bool, Int4, Timestamptz, Uuid as SqlUuid},
};
use serde_json::json;
use uuid::Uuid;

use super::{
    candidates::{Candidate, Refusal, lock, lock_of_batch, lock_pending, seconds},
    results::{LifecycleOutcome, LifecycleSkip, Results, skipped, tell},
};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    clock::Clock,
    db::{DbError, WAKE_WORKERS},
    guessing::{
        counter::{self, Secret},
        policy,
    },
    invitations::{domain::Invitation, mailed, plan::MailsADay, queries},
    model::invitation::MessageState,
    schema::{batches, invitations, users},
    secrets::keys::KeyRing,
    selection::{
        domain::Selection,
        queries::{SelectionError, user_ids},
    },
};

/// What became of resending one invitation.
#[derive(Debug)]
pub enum Resent {
    /// Its message is queued.
    Queued(Box<Invitation>),
    NotFound,
    NotPending,
    /// Not again for so many seconds.
    TooSoon(u32),
    NoEmail,
    EmailSuppressed,
    /// The user had enough mails; not again for so many seconds.
    MailedTooOften(u32),
}

/// Resends one invitation, and lets its user try again at once. Resending many opens no pause: whoever guesses at many
/// names would see by it which of them somebody has. Runs inside a transaction.
///
/// # Errors
/// When the database is away.
pub fn resend(
    connection: &mut PgConnection,
    trail: &Trail,
    keys: &KeyRing,
    id: Uuid,
    new_pin: bool,
    mails_a_day: MailsADay,
) -> Result<Resent, DbError> {
    mailed::take_turn(connection)?;
    let now = trail.clock.now();
    // Before the invitation is locked, as a try counts: so that nobody waits for each other.
    let user: Option<Option<Uuid>> = invitations::table
        .find(id)
        .select(invitations::user_id)
        .first(connection)
        .optional()?;
    if let Some(user) = user.flatten() {
        counter::forget_user(connection, keys, Secret::Pin, user)?;
        // Before the invitation, as everybody else: changing that twice asks whether the user is still there.
        users::table
            .find(user)
            .select(users::id)
            .for_key_share()
            .first::<Uuid>(connection)
            .optional()?;
    }
    let Some(found) = lock(connection, id)? else {
        return Ok(Resent::NotFound);
    };
    let user: Vec<Uuid> = found.user_id.into_iter().collect();
    let full_till = mailed::too_often(connection, &user, mails_a_day, now)?;
    match found.may_be_resent(&full_till, now) {
        Some(Refusal::NotPending) => return Ok(Resent::NotPending),
        Some(Refusal::TooSoon(wait)) => return Ok(Resent::TooSoon(seconds(wait))),
        Some(Refusal::NoEmail) => return Ok(Resent::NoEmail),
        Some(Refusal::EmailSuppressed) => return Ok(Resent::EmailSuppressed),
        Some(Refusal::MailedTooOften(wait)) => return Ok(Resent::MailedTooOften(seconds(wait))),
        None => {}
    }
    queue_again(connection, &trail.clock, &[id], new_pin, now)?;
    diesel::update(invitations::table.find(id))
        .set(invitations::pin_locked_until.eq(None::<DateTime<Utc>>))
        .execute(connection)?;
    let event = Event::new(Action::InvitationsResent, SubjectKind::Invitation, id);
    trail.record(connection, &event.after(&json!({"new_pin": new_pin})))?;
    Ok(
        queries::get(connection, id, now)?.map_or(Resent::NotFound, |invitation| {
            Resent::Queued(Box::new(invitation))
        }),
    )
}

/// Resends the pending invitations of everybody who is selected. Runs inside a transaction.
///
/// # Errors
/// [`SelectionError`]; then nothing may be kept.
pub fn resend_many(
    connection: &mut PgConnection,
    trail: &Trail,
    selection: &Selection,
    new_pin: bool,
    mails_a_day: MailsADay,
) -> Result<Results, SelectionError> {
    mailed::take_turn(connection)?;
    let users = user_ids(connection, selection, trail.clock.now())?;
    let pending = lock_pending(connection, &users)?;
    let done = resend_found(
        connection,
        &trail.clock,
        &users,
        &pending,
        new_pin,
        mails_a_day,
    )?;
    let event = Event::new(Action::InvitationsResent, SubjectKind::Invitation, None).after(
        &json!({"new_pin": new_pin, "accepted_count": done.accepted_count, "skipped_count": done.skipped_count}),
    );
    trail.record(connection, &event)?;
    Ok(done)
}

/// Resends the invitations of a batch whose newest mail is in one of these states; `None`: there is no such batch. Runs
/// inside a transaction.
///
/// # Errors
/// When the database is away.
pub fn resend_batch(
    connection: &mut PgConnection,
    trail: &Trail,
    batch: Uuid,
    states: &[MessageState],
    mails_a_day: MailsADay,
) -> Result<Option<Results>, DbError> {
    mailed::take_turn(connection)?;
    let is_there: bool =
        diesel::select(exists(batches::table.find(batch))).get_result(connection)?;
    if !is_there {
        return Ok(None);
    }
    let found = lock_of_batch(connection, batch, states)?;
    let users: Vec<Uuid> = found.iter().filter_map(|found| found.user_id).collect();
    let done = resend_found(connection, &trail.clock, &users, &found, false, mails_a_day)?;
    let event = Event::new(Action::InvitationsResent, SubjectKind::Batch, batch).after(
        &json!({"delivery": states, "accepted_count": done.accepted_count, "skipped_count": done.skipped_count}),
    );
    trail.record(connection, &event)?;
    Ok(Some(done))
}

/// Resends what may be resent of the invitations that were found for these users. Both are sorted by user.
fn resend_found(
    connection: &mut PgConnection,
    clock: &Clock,
    users: &[Uuid],
    found: &[Candidate],
    new_pin: bool,
    mails_a_day: MailsADay,
) -> Result<Results, DbError> {
    let now = clock.now();
    let full_till = mailed::too_often(connection, users, mails_a_day, now)?;
    let mut again = Vec::new();
    let mut refused = Vec::with_capacity(found.len());
    for candidate in found {
        let refusal = candidate.may_be_resent(&full_till, now);
        if refusal.is_none() {
            again.push(candidate.id);
        }
        refused.push(refusal);
    }
    queue_again(connection, clock, &again, new_pin, now)?;
    Ok(tell(users, again.len(), |user| {
        let at = found.binary_search_by_key(&Some(user), |candidate| candidate.user_id);
        match at.map(|at| (&found[at], refused[at])) {
            Ok((candidate, None)) => (LifecycleOutcome::Resent, Some(candidate.id), None),
            Ok((_, Some(Refusal::NotPending))) | Err(_) => {
                skipped(LifecycleSkip::NoPendingInvitation, None)
            }
            Ok((candidate, Some(Refusal::TooSoon(_)))) => {
                skipped(LifecycleSkip::ResentRecently, Some(candidate.id))
            }
            Ok((candidate, Some(Refusal::NoEmail))) => {
                skipped(LifecycleSkip::NoEmail, Some(candidate.id))
            }
            Ok((candidate, Some(Refusal::EmailSuppressed))) => {
                skipped(LifecycleSkip::EmailSuppressed, Some(candidate.id))
            }
            Ok((candidate, Some(Refusal::MailedTooOften(_)))) => {
                skipped(LifecycleSkip::MailedTooOften, Some(candidate.id))
            }
        }
    }))
}

/// Queues the messages of invitations that are locked and may be resent.
///
/// The count of wrong tries starts anew, and so do the reminders: one that waits is not sent. The next counter, with
/// which the old PIN or QR code dies, is taken if it is asked for, and in any case where the PIN's life is over or its
/// tries are used up: the same one would be of no use. A message that is still waiting is sent at once instead of
/// twice, and its 48 h begin anew; a new one is no part of the batch that was once sent.
fn queue_again(
    connection: &mut PgConnection,
    clock: &Clock,
    ids: &[Uuid],
    new_pin: bool,
    now: DateTime<Utc>,
) -> Result<(), DbError> {
    if ids.is_empty() {
        return Ok(());
    }
    diesel::sql_query(include_str!("sql/count_again.sql"))
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Timestamptz, _>(now)
        .bind::<Bool, _>(new_pin)
        .bind::<Array<Int4>, _>((1..=12).map(policy::most_pins).collect::<Vec<_>>())
        .execute(connection)?;
    let messages: Vec<Uuid> = ids.iter().map(|_| clock.new_id()).collect();
    diesel::sql_query(include_str!("sql/queue_again.sql"))
        .bind::<Array<SqlUuid>, _>(ids)
        .bind::<Array<SqlUuid>, _>(messages)
        .bind::<Timestamptz, _>(now)
        .execute(connection)?;
    connection.batch_execute(WAKE_WORKERS)?;
    Ok(())
}
