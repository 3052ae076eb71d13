//! Invitations that are out, locked, and which of them may be resent.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};
use diesel::{
    prelude::*,
    sql_types::{Array, Bool, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use crate::{
    db::{DbError, stored},
    model::invitation::State,
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
pub(super) enum Refusal {
    NotPending,
    TooSoon(Duration),
    NoEmail,
    EmailSuppressed,
    MailedTooOften(Duration),
}

impl Candidate {
    /// Right to the second, whether or not anything has marked it yet.
    pub(super) fn state(&self, now: DateTime<Utc>) -> Result<State, DbError> {
        let state = stored(&self.state, State::from_name)?;
        Ok(if state == State::Pending && self.expires_at <= now {
            State::Expired
        } else {
            state
        })
    }

    /// `full_till`: who was mailed as often as may be, and till when.
    pub(super) fn may_be_resent(
        &self,
        full_till: &HashMap<Uuid, DateTime<Utc>>,
        now: DateTime<Utc>,
    ) -> Result<Option<Refusal>, DbError> {
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
            let till = self.user_id.and_then(|user| full_till.get(&user));
            till.map(|till| Refusal::MailedTooOften(*till - now))
        })
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

pub(super) fn lock(connection: &mut PgConnection, id: Uuid) -> Result<Option<Candidate>, DbError> {
    Ok(diesel::sql_query(locked!("i.id = $1"))
        .bind::<SqlUuid, _>(id)
        .get_result(connection)
        .optional()?)
}

/// The invitations of a batch whose newest mail is in one of these states, pending or not, sorted by user: one each.
/// Whose user is deleted is left out.
pub(super) fn lock_of_batch(
    connection: &mut PgConnection,
    batch: Uuid,
    states: &[&str],
) -> Result<Vec<Candidate>, DbError> {
    let mut found: Vec<Candidate> = diesel::sql_query(locked!(
        "i.batch_id = $1 AND i.user_id IS NOT NULL AND (
            SELECT m.state FROM messages m WHERE m.invitation_id = i.id AND m.kind = 'invitation' ORDER BY m.id DESC LIMIT 1
         ) = ANY ($2)"
    ))
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
    let mut found: Vec<Candidate> =
        diesel::sql_query(locked!("i.state = 'pending' AND i.user_id = ANY ($1)"))
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
            let refused = candidate.may_be_resent(&HashMap::new(), now).unwrap();
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
            candidate.may_be_resent(&full_till, now).unwrap(),
            Some(Refusal::NotPending)
        );
        candidate.expires_at = now + Duration::seconds(1);
        assert_eq!(
            candidate.may_be_resent(&full_till, now).unwrap(),
            Some(Refusal::NoEmail)
        );
        candidate.has_email = true;
        assert_eq!(
            candidate.may_be_resent(&full_till, now).unwrap(),
            Some(Refusal::MailedTooOften(Duration::hours(2)))
        );
        candidate.state = "lost".into();
        assert!(candidate.may_be_resent(&full_till, now).is_err());
    }
}
