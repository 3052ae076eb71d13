//! The recipients that a preview lists.

use std::collections::HashMap;

use chrono::{DateTime, Duration, Utc};
use diesel::{dsl::exists, prelude::*};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    db::DbError,
    invitations::plan::{Decision, Notice, Plan, Recipient, SkipReason},
    model::{
        invitation::{Method, State},
        ownership,
    },
    schema::{invitations, user_activity, users},
    string_enum,
};

/// Whoever was invited so lately gets the next invitation all the same: it may be a correction.
const RECENTLY: Duration = Duration::seconds(60);
const INVITED_RECENTLY: Notice = Notice {
    code: "invited_recently",
    detail: "The user was invited less than a minute ago, and will get another invitation now; the one before no longer works then.",
};

string_enum! {
    /// What `send` would do with a recipient.
    PreviewOutcome {
        Send = "send",
        Skip = "skip",
    }
}

/// One recipient of a preview.
#[derive(Debug, Serialize, ToSchema)]
pub struct PreviewRecipient {
    pub user_id: Uuid,
    pub display_name: String,
    #[schema(required)]
    pub email: Option<String>,
    /// The language of the message.
    pub locale: &'static str,
    pub method: Method,
    pub outcome: PreviewOutcome,
    /// Why nothing would be sent.
    #[schema(required)]
    pub reason: Option<SkipReason>,
    pub device_ownership: ownership::Shown,
    /// Whether an invitation that is pending would be replaced.
    pub supersedes_pending: bool,
    /// Whether the user would get a confirmation after enrolling.
    pub confirmation_email: bool,
    pub warnings: Vec<Notice>,
}

/// The recipients as they are listed.
///
/// # Errors
/// When the database is away.
pub(super) fn describe(
    connection: &mut PgConnection,
    plan: &Plan,
    listed: &[Recipient],
    now: DateTime<Utc>,
) -> Result<Vec<PreviewRecipient>, DbError> {
    if listed.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Uuid> = listed.iter().map(|recipient| recipient.user_id).collect();
    let pending = exists(
        invitations::table
            .filter(invitations::user_id.eq(users::id.nullable()))
            .filter(invitations::state.eq(State::Pending))
            .filter(invitations::expires_at.gt(now)),
    );
    let recently = exists(
        user_activity::table
            .filter(user_activity::user_id.eq(users::id))
            .filter(user_activity::last_invited_at.gt(now - RECENTLY)),
    );
    type Row = (Uuid, String, Option<String>, bool, bool);
    let mut rows: HashMap<Uuid, Row> = users::table
        .filter(users::id.eq_any(ids))
        .select((
            users::id,
            users::display_name,
            users::email,
            pending,
            recently,
        ))
        .load::<Row>(connection)?
        .into_iter()
        .map(|row| (row.0, row))
        .collect();
    Ok(listed
        .iter()
        .filter_map(|recipient| {
            let (user_id, display_name, email, has_pending, is_recent) =
                rows.remove(&recipient.user_id)?;
            let terms = plan.terms(recipient.which);
            let (outcome, reason) = match plan.decide(recipient) {
                Decision::Invite => (PreviewOutcome::Send, None),
                Decision::Skip(reason) => (PreviewOutcome::Skip, Some(reason)),
            };
            let is_invited = outcome == PreviewOutcome::Send;
            let mut warnings = plan.warnings(terms);
            if is_invited && is_recent {
                warnings.push(INVITED_RECENTLY);
            }
            Some(PreviewRecipient {
                user_id,
                display_name,
                email,
                locale: recipient.lang.as_str(),
                method: terms.method,
                outcome,
                reason,
                device_ownership: ownership::shown(terms.method, terms.device_ownership),
                supersedes_pending: is_invited && has_pending,
                confirmation_email: is_invited && plan.is_confirmed(recipient),
                warnings,
            })
        })
        .collect())
}
