//! Invitations that are out, locked, and which of them may be resent.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use crate::{
    db::DbError,
    model::invitation::{MessageState, State},
};

/// How soon after a resend the next one may follow.
const COOLDOWN: Duration = Duration::seconds(60);

/// What decides whether an invitation may be resent.
#[derive(QueryableByName)]
pub(super) struct Candidate {
    #[diesel(sql_type = SqlUuid)]
    pub(super) id: Uuid,
    #[diesel(sql_type = Nullable<SqlUuid>)]
    pub(super) user_id: Option<Uuid>,
    #[diesel(sql_type = Text)]
    state: State,
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
pub(super) enum Refusal {
    NotPending,
    TooSoon(Duration),
    NoEmail,
    EmailSuppressed,
    MailedTooOften(Duration),
}

impl Candidate {
    /// Its state at this time.
    pub(super) fn state(&self, now: DateTime<Utc>) -> State {
        self.state.at(self.expires_at, now)
    }

    /// `full_till`: who was mailed as often as may be, and till when.
    pub(super) fn may_be_resent(
        &self,
        full_till: &HashMap<Uuid, DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Option<Refusal> {
        let again_at = self.resent_at.map(|resent_at| resent_at + COOLDOWN);
        if self.state(now) != State::Pending {
            Some(Refusal::NotPending)
        } else if let Some(again_at) = again_at.filter(|again_at| *again_at > now) {
            Some(Refusal::TooSoon(again_at - now))
        } else if !self.has_email {
            Some(Refusal::NoEmail)
        } else if self.is_suppressed {
            Some(Refusal::EmailSuppressed)
        } else {
            let till = self.user_id.and_then(|user| full_till.get(&user));
            till.map(|till| Refusal::MailedTooOften(*till - now))
        }
    }
}

/// Whole seconds, for `Retry-After`: never zero.
pub(super) fn seconds(wait: Duration) -> u32 {
    let seconds = wait
        .num_milliseconds()
        .max(1)
        .unsigned_abs()
        .div_ceil(1_000);
    u32::try_from(seconds).unwrap_or(u32::MAX)
}

pub(super) fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Option<Candidate>, DbError> {
    Ok(diesel::sql_query(include_str!("sql/lock.sql"))
        .bind::<SqlUuid, _>(id)
        .get_result(connection)
        .optional()?)
}

/// The invitations of a batch whose newest mail is in one of these states, pending or not, sorted by user: one each.
/// Whose user is deleted is left out.
pub(super) fn lock_of_batch(
    connection: &mut PgConnection,
    batch: Uuid,
    states: &[MessageState],
) -> Result<Vec<Candidate>, DbError> {
    let mut found: Vec<Candidate> = diesel::sql_query(include_str!("sql/lock_of_batch.sql"))
        .bind::<SqlUuid, _>(batch)
        .bind::<Array<Text>, _>(states)
        .load(connection)?;
    found.sort_unstable_by_key(|candidate| candidate.user_id);
    Ok(found)
}

/// The pending invitations of these users, at most one each, sorted by user.
pub(super) fn lock_pending(
    connection: &mut PgConnection,
    users: &[Uuid],
) -> Result<Vec<Candidate>, DbError> {
    let mut found: Vec<Candidate> = diesel::sql_query(include_str!("sql/lock_pending.sql"))
        .bind::<Array<SqlUuid>, _>(users)
        .load(connection)?;
    found.sort_unstable_by_key(|candidate| candidate.user_id);
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(resent_before: Option<i64>) -> (Candidate, DateTime<Utc>) {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let candidate = Candidate {
            id: Uuid::nil(),
            user_id: Some(Uuid::nil()),
            state: State::Pending,
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
            let refused = candidate.may_be_resent(&HashMap::new(), now);
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
        let full_till = HashMap::from([(Uuid::nil(), now + Duration::hours(2))]);
        candidate.expires_at = now;
        candidate.has_email = false;
        assert_eq!(
            candidate.may_be_resent(&full_till, now),
            Some(Refusal::NotPending)
        );
        candidate.expires_at = now + Duration::seconds(1);
        assert_eq!(
            candidate.may_be_resent(&full_till, now),
            Some(Refusal::NoEmail)
        );
        candidate.has_email = true;
        assert_eq!(
            candidate.may_be_resent(&full_till, now),
            Some(Refusal::MailedTooOften(Duration::hours(2)))
        );
    }
}
