//! What became of many invitations.

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::string_enum;

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
        /// The user has no pending invitation, or, where one batch is resent, the one of this batch is not pending.
        NoPendingInvitation = "no_pending_invitation",
        /// It was resent less than a minute ago.
        ResentRecently = "resent_recently",
        /// The user has no e-mail address.
        NoEmail = "no_email",
        /// A mail to the user's address came back for good.
        EmailSuppressed = "email_suppressed",
        /// The user was mailed as many invitations in the last 24 hours as anybody may get.
        MailedTooOften = "mailed_too_often",
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

/// The answer of `POST /invitations/resend`, `POST /invitations/revoke` and `POST /batches/{id}/resend`.
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

pub(super) type Told = (LifecycleOutcome, Option<Uuid>, Option<LifecycleSkip>);

pub(super) fn skipped(reason: LifecycleSkip, invitation: Option<Uuid>) -> Told {
    (LifecycleOutcome::Skipped, invitation, Some(reason))
}

/// The answer about many, of whom so many were dealt with.
pub(super) fn tell(users: &[Uuid], accepted: usize, about: impl Fn(Uuid) -> Told) -> Results {
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
