//! What an administrator does with invitations that are out: resend and revoke, one or many, in as many
//! statements for 100,000 as for one.
//!
//! Rows are locked before anything is decided, in the order of their ids; whoever changes the same
//! invitations at the same time waits, and then sees what was decided here.

use chrono::{DateTime, Duration, Utc};
use diesel::{
    connection::SimpleConnection,
    prelude::*,
    sql_types::{Array, Bool, Int4, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{domain::Invitation, ending, queries};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    clock::Clock,
    db::{CUSTOM_PLAN, DbError, WAKE_WORKERS, stored},
    guessing::policy,
    model::invitation::State,
    selection::{
        domain::Selection,
        queries::{SelectionError, user_ids},
    },
    string_enum,
};

/// How soon after a resend the next one may follow.
const COOLDOWN: Duration = Duration::seconds(60);

/// How many results an answer lists.
const LISTED: usize = 1_000;

string_enum! {
    /// What became of a selected user's invitation.
    LifecycleOutcome {
        /// Its message is queued again.
        Resent = "resent",
        /// It no longer works.
        Revoked = "revoked",
        /// Nothing was done.
        Skipped = "skipped",
    }
}

string_enum! {
    /// Why nothing was done.
    LifecycleSkip {
        /// The user has no pending invitation.
        NoPendingInvitation = "no_pending_invitation",
        /// It was resent less than a minute ago.
        ResentRecently = "resent_recently",
        /// The user has no e-mail address.
        NoEmail = "no_email",
        /// A mail to the user's address came back for good.
        EmailSuppressed = "email_suppressed",
    }
}

/// What became of one user's invitation.
#[derive(Debug, Serialize, ToSchema)]
pub struct LifecycleResult {
    pub user_id: Uuid,
    pub outcome: LifecycleOutcome,
    /// `null` where none is pending.
    #[schema(required)]
    pub invitation_id: Option<Uuid>,
    #[schema(required)]
    pub reason: Option<LifecycleSkip>,
}

/// The answer of `POST /invitations/resend` and `POST /invitations/revoke`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = LifecycleResults)]
pub struct Results {
    pub recipient_count: usize,
    /// Resent, or revoked.
    pub accepted_count: usize,
    pub skipped_count: usize,
    /// The first 1,000, in the order of the users' ids.
    pub results: Vec<LifecycleResult>,
}

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
}

/// What became of revoking one invitation.
#[derive(Debug)]
pub enum Revoked {
    /// It does not work any more: revoked now or before, or ended otherwise.
    Ended(Box<Invitation>),
    NotFound,
    /// A device was enrolled with it.
    Completed,
}

/// What decides whether an invitation may be resent.
#[derive(QueryableByName)]
struct Candidate {
    #[diesel(sql_type = SqlUuid)]
    id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    user_id: Option<Uuid>,
    #[diesel(sql_type = Text)]
    state: String,
    #[diesel(sql_type = Timestamptz)]
    expires_at: DateTime<Utc>,
    #[diesel(sql_type = Nullable<Timestamptz>)]
    resent_at: Option<DateTime<Utc>>,
    #[diesel(sql_type = Bool)]
    has_email: bool,
    #[diesel(sql_type = Bool)]
    is_suppressed: bool,
}

/// Why an invitation is not resent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    NotPending,
    TooSoon(Duration),
    NoEmail,
    EmailSuppressed,
}

impl Candidate {
    /// Right to the second, whether or not anything has marked it yet.
    fn state(&self, now: DateTime<Utc>) -> Result<State, DbError> {
        let state = stored(&self.state, State::from_name)?;
        Ok(if state == State::Pending && self.expires_at <= now {
            State::Expired
        } else {
            state
        })
    }

    fn may_be_resent(&self, now: DateTime<Utc>) -> Result<Option<Refusal>, DbError> {
        let again_at = self.resent_at.map(|resent_at| resent_at + COOLDOWN);
        Ok(if self.state(now)? != State::Pending {
            Some(Refusal::NotPending)
        } else if let Some(again_at) = again_at.filter(|again_at| *again_at > now) {
            Some(Refusal::TooSoon(again_at - now))
        } else if !self.has_email {
            Some(Refusal::NoEmail)
        } else if self.is_suppressed {
            Some(Refusal::EmailSuppressed)
        } else {
            None
        })
    }
}

/// Whole seconds, for `Retry-After`: never zero.
fn seconds(wait: Duration) -> u32 {
    let seconds = wait
        .num_milliseconds()
        .max(1)
        .unsigned_abs()
        .div_ceil(1_000);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

/// Locks invitations: `$1` chooses.
macro_rules! locked {
    ($chosen:literal) => {
        concat!(
            "SELECT i.id, i.user_id, i.state, i.expires_at, i.resent_at, u.email IS NOT NULL AS has_email,
                EXISTS (SELECT FROM suppressions s WHERE s.email = lower(u.email)) AS is_suppressed
             FROM invitations i LEFT JOIN users u ON u.id = i.user_id
             WHERE ",
            $chosen,
            " ORDER BY i.id FOR NO KEY UPDATE OF i"
        )
    };
}

fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Option<Candidate>, DbError> {
    Ok(diesel::sql_query(locked!("i.id = $1"))
        .bind::<SqlUuid, _>(id)
        .get_result(connection)
        .optional()?)
}

/// The pending invitations of these users, at most one each, sorted by user.
fn lock_pending(connection: &mut PgConnection, users: &[Uuid]) -> Result<Vec<Candidate>, DbError> {
    let mut found: Vec<Candidate> =
        diesel::sql_query(locked!("i.state = 'pending' AND i.user_id = ANY ($1)"))
            .bind::<Array<SqlUuid>, _>(users)
            .load(connection)?;
    found.sort_unstable_by_key(|candidate| candidate.user_id);
    Ok(found)
}

/// Resends one invitation. Runs inside a transaction.
///
/// # Errors
/// When the database is away.
pub fn resend(
    connection: &mut PgConnection,
    trail: &Trail,
    id: Uuid,
    new_pin: bool,
) -> Result<Resent, DbError> {
    let now = trail.clock.now();
    let Some(found) = lock(connection, id)? else {
        return Ok(Resent::NotFound);
    };
    match found.may_be_resent(now)? {
        Some(Refusal::NotPending) => return Ok(Resent::NotPending),
        Some(Refusal::TooSoon(wait)) => return Ok(Resent::TooSoon(seconds(wait))),
        Some(Refusal::NoEmail) => return Ok(Resent::NoEmail),
        Some(Refusal::EmailSuppressed) => return Ok(Resent::EmailSuppressed),
        None => {}
    }
    queue_again(connection, &trail.clock, &[id], new_pin, now)?;
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
) -> Result<Results, SelectionError> {
    connection.batch_execute(CUSTOM_PLAN)?;
    let now = trail.clock.now();
    let users = user_ids(connection, selection, now)?;
    let pending = lock_pending(connection, &users)?;
    let mut again = Vec::new();
    let mut refused = Vec::with_capacity(pending.len());
    for candidate in &pending {
        let refusal = candidate.may_be_resent(now)?;
        if refusal.is_none() {
            again.push(candidate.id);
        }
        refused.push(refusal);
    }
    queue_again(connection, &trail.clock, &again, new_pin, now)?;
    let done = tell(&users, again.len(), |user| {
        let at = pending.binary_search_by_key(&Some(user), |candidate| candidate.user_id);
        match at.map(|at| (&pending[at], refused[at])) {
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
        }
    });
    let event = Event::new(Action::InvitationsResent, SubjectKind::Invitation, None).after(
        &json!({"new_pin": new_pin, "accepted_count": done.accepted_count, "skipped_count": done.skipped_count}),
    );
    trail.record(connection, &event)?;
    Ok(done)
}

type Told = (LifecycleOutcome, Option<Uuid>, Option<LifecycleSkip>);

fn skipped(reason: LifecycleSkip, invitation: Option<Uuid>) -> Told {
    (LifecycleOutcome::Skipped, invitation, Some(reason))
}

/// The answer about many, of whom so many were dealt with.
fn tell(users: &[Uuid], accepted: usize, about: impl Fn(Uuid) -> Told) -> Results {
    let results = users.iter().take(LISTED).map(|user| {
        let (outcome, invitation_id, reason) = about(*user);
        LifecycleResult {
            user_id: *user,
            outcome,
            invitation_id,
            reason,
        }
    });
    Results {
        recipient_count: users.len(),
        accepted_count: accepted,
        skipped_count: users.len() - accepted,
        results: results.collect(),
    }
}

/// Queues the messages of invitations that are locked and may be resent.
///
/// The count of wrong tries starts anew, and so do the reminders: one that waits is not sent.
///  The next counter, with which the old PIN or QR code dies, is taken if
/// it is asked for, and in any case where the PIN's life is over or its tries are used up: the same one would
/// be of no use. A message that is still waiting is sent at once instead of twice, and its 48 h begin anew; a new
/// one is no part of the batch that was once sent.
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
    diesel::sql_query(
        "UPDATE invitations i SET
            resend_count = i.resend_count + 1, resent_at = $2, pin_tries = 0, pin_locked_until = NULL,
            counter = CASE WHEN r.renew THEN i.counter + 1 ELSE i.counter END,
            pin_issued_at = CASE WHEN r.renew THEN NULL ELSE i.pin_issued_at END
         FROM (
            SELECT id, $3 OR method IN ('pin', 'pin_and_password') AND (
                coalesce(pin_issued_at + pin_lifetime_days * interval '1 day' <= $2, false)
                OR pin_tries >= ($4)[pin_length]) AS renew
            FROM invitations WHERE id = ANY ($1)
         ) r
         WHERE i.id = r.id",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Timestamptz, _>(now)
    .bind::<Bool, _>(new_pin)
    .bind::<Array<Int4>, _>((1..=12).map(policy::most_pins).collect::<Vec<_>>())
    .execute(connection)?;
    let messages: Vec<Uuid> = ids.iter().map(|_| clock.new_id()).collect();
    diesel::sql_query(
        "WITH again AS (
            SELECT * FROM unnest($1, $2) AS a(invitation_id, message_id)
        ), waiting AS (
            SELECT m.id, m.invitation_id FROM messages m JOIN again a ON a.invitation_id = m.invitation_id
            WHERE m.kind = 'invitation' AND m.state NOT IN ('sending', 'accepted', 'bounced', 'failed', 'suppressed')
            FOR UPDATE OF m SKIP LOCKED
        ), hurried AS (
            UPDATE messages m SET due_at = $3, created_at = $3 FROM waiting WHERE m.id = waiting.id
        ), reminders AS (
            SELECT m.id FROM messages m JOIN again a ON a.invitation_id = m.invitation_id
            WHERE m.kind = 'reminder' AND m.state NOT IN ('sending', 'accepted', 'bounced', 'failed', 'suppressed')
            FOR UPDATE OF m SKIP LOCKED
        ), dropped AS (
            UPDATE messages m SET state = 'suppressed', reason = 'resent' FROM reminders WHERE m.id = reminders.id
        )
        INSERT INTO messages (id, kind, invitation_id, state, attempts, due_at, created_at)
        SELECT message_id, 'invitation', invitation_id, 'queued', 0, $3, $3 FROM again
        WHERE invitation_id NOT IN (SELECT invitation_id FROM waiting)",
    )
    .bind::<Array<SqlUuid>, _>(ids)
    .bind::<Array<SqlUuid>, _>(messages)
    .bind::<Timestamptz, _>(now)
    .execute(connection)?;
    connection.batch_execute(WAKE_WORKERS)?;
    Ok(())
}

/// Revokes one invitation. Runs inside a transaction.
///
/// # Errors
/// When the database is away.
pub fn revoke(connection: &mut PgConnection, trail: &Trail, id: Uuid) -> Result<Revoked, DbError> {
    let now = trail.clock.now();
    let Some(found) = lock(connection, id)? else {
        return Ok(Revoked::NotFound);
    };
    if found.state(now)? == State::Completed {
        return Ok(Revoked::Completed);
    }
    ending::revoke(connection, &[id], now)?;
    let event = Event::new(Action::InvitationsRevoked, SubjectKind::Invitation, id);
    trail.record(connection, &event)?;
    Ok(
        queries::get(connection, id, now)?.map_or(Revoked::NotFound, |invitation| {
            Revoked::Ended(Box::new(invitation))
        }),
    )
}

/// Revokes the pending invitations of everybody who is selected. Runs inside a transaction.
///
/// # Errors
/// [`SelectionError`]; then nothing may be kept.
pub fn revoke_many(
    connection: &mut PgConnection,
    trail: &Trail,
    selection: &Selection,
) -> Result<Results, SelectionError> {
    connection.batch_execute(CUSTOM_PLAN)?;
    let now = trail.clock.now();
    let users = user_ids(connection, selection, now)?;
    let mut ended = ending::revoke_of(connection, &users, now)?;
    // What had expired by itself was not pending any more.
    ended.retain(|ended| ended.state == State::Revoked);
    ended.sort_unstable_by_key(|ended| ended.user_id);
    let done = tell(&users, ended.len(), |user| {
        match ended.binary_search_by_key(&Some(user), |ended| ended.user_id) {
            Ok(at) => (LifecycleOutcome::Revoked, Some(ended[at].id), None),
            Err(_) => skipped(LifecycleSkip::NoPendingInvitation, None),
        }
    });
    let event = Event::new(Action::InvitationsRevoked, SubjectKind::Invitation, None).after(
        &json!({"accepted_count": done.accepted_count, "skipped_count": done.skipped_count}),
    );
    trail.record(connection, &event)?;
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(resent_before: Option<i64>) -> (Candidate, DateTime<Utc>) {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let candidate = Candidate {
            id: Uuid::nil(),
            user_id: Some(Uuid::nil()),
            state: "pending".into(),
            expires_at: now + Duration::seconds(1),
            resent_at: resent_before.map(|millis| now - Duration::milliseconds(millis)),
            has_email: true,
            is_suppressed: false,
        };
        (candidate, now)
    }

    #[test]
    fn once_a_minute() {
        for (before, wait) in [
            (None, None),
            (Some(60_000), None),
            (Some(59_999), Some(1)),
            (Some(1), Some(60)),
            (Some(0), Some(60)),
        ] {
            let (candidate, now) = candidate(before);
            let refused = candidate.may_be_resent(now).unwrap();
            let told = refused.map(|refusal| match refusal {
                Refusal::TooSoon(wait) => seconds(wait),
                other => panic!("{other:?}"),
            });
            assert_eq!(told, wait, "{before:?}");
        }
    }

    #[test]
    fn what_is_over_is_not_pending_whatever_is_stored() {
        let (mut candidate, now) = candidate(None);
        candidate.expires_at = now;
        candidate.has_email = false;
        assert_eq!(
            candidate.may_be_resent(now).unwrap(),
            Some(Refusal::NotPending)
        );
        candidate.expires_at = now + Duration::seconds(1);
        assert_eq!(
            candidate.may_be_resent(now).unwrap(),
            Some(Refusal::NoEmail)
        );
        candidate.state = "lost".into();
        assert!(candidate.may_be_resent(now).is_err());
    }
}
