//! What a batch is: how many of its recipients are where. Pure.

use chrono::{DateTime, Utc};
use deserr::{Deserr, IntoValue, Value, ValuePointerRef};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{
    list_query,
    model::{invitation::MessageState, named::Named, wire::Faults},
    string_enum,
};

string_enum! {
    /// How far a batch got.
    BatchState {
        /// Something is still to be sent.
        Sending = "sending",
        /// Nothing is queued or deferred any more.
        Done = "done",
        /// Canceled: what no server had accepted was not sent.
        Canceled = "canceled",
    }
}

/// How many of a batch's recipients are where.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct BatchCounts {
    pub recipients: i64,
    pub skipped: i64,
    /// Queued, or being sent right now.
    pub queued: i64,
    pub accepted: i64,
    pub deferred: i64,
    pub failed: i64,
    pub bounced: i64,
    pub suppressed: i64,
}

/// The messages of a batch that no server has accepted an hour after they were queued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Waiting {
    /// How many.
    pub messages: i64,
    /// When the oldest of them was queued.
    pub since: DateTime<Utc>,
    /// The reply code (RFC 5321 §4.2) of the newest try that was put off; `null` where no server answered.
    #[schema(required)]
    pub smtp_code: Option<i16>,
    /// Its enhanced status (RFC 3463).
    #[schema(required)]
    pub enhanced_status: Option<String>,
    /// Why it was put off, in the server's words or ours; `null` where none of them was tried yet.
    #[schema(required)]
    pub reason: Option<String>,
}

impl Named for Batch {
    const NAME: &'static str = "batch";
}

/// A batch, as the API shows one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Batch {
    pub id: Uuid,
    pub state: BatchState,
    pub counts: BatchCounts,
    pub created_at: DateTime<Utc>,
    /// Who sent it: `api_key:<id>`.
    pub created_by: String,
    #[schema(required)]
    pub canceled_at: Option<DateTime<Utc>>,
    /// What has waited for more than an hour, and why; `null` if nothing has.
    #[schema(required)]
    pub waiting: Option<Waiting>,
}

impl Batch {
    /// Whether nothing is queued, being sent or deferred any more.
    pub fn is_over(&self) -> bool {
        self.counts.queued + self.counts.deferred == 0
    }
}

string_enum! {
    /// How a mail ended that did not arrive.
    Undelivered {
        /// Refused for good, or tried for too long.
        Failed = "failed",
        /// Came back.
        Bounced = "bounced",
    }
}

impl From<Undelivered> for MessageState {
    fn from(ended: Undelivered) -> Self {
        match ended {
            Undelivered::Failed => Self::Failed,
            Undelivered::Bounced => Self::Bounced,
        }
    }
}

/// Which mails are sent again: one or more states, all unless given.
#[derive(Debug)]
pub struct UndeliveredStates(Vec<Undelivered>);

impl Default for UndeliveredStates {
    fn default() -> Self {
        Self(vec![Undelivered::Failed, Undelivered::Bounced])
    }
}

impl Deserr<Faults> for UndeliveredStates {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        let states =
            <Option<Vec<Undelivered>> as Deserr<Faults>>::deserialize_from_value(value, location)?;
        match states {
            None => Ok(Self::default()),
            Some(states) if states.is_empty() => Err(Faults::at(
                location,
                "empty",
                format!(
                    "must name one or more of: {}; leave it out for all of them",
                    Undelivered::NAMES.join(", ")
                ),
            )),
            Some(states) => Ok(Self(states)),
        }
    }
}

/// The body of `POST /batches/{id}/resend`.
#[derive(Debug, Default, Deserr, ToSchema)]
#[deserr(error = Faults, deny_unknown_fields)]
#[serde(deny_unknown_fields)]
pub struct ResendBatchRequest {
    /// Those whose newest mail is in one of these states; both unless given.
    #[deserr(default)]
    #[schema(value_type = Option<Vec<Undelivered>>, required = false, min_items = 1)]
    pub delivery: UndeliveredStates,
}

impl ResendBatchRequest {
    /// Which mails are sent again, each state once.
    pub fn states(self) -> Vec<MessageState> {
        let mut states = self.delivery.0;
        states.sort_unstable();
        states.dedup();
        states.into_iter().map(MessageState::from).collect()
    }
}

list_query!(
    /// The query of `GET /batches/{id}/results`.
    ResultsQuery() {
    }
);
