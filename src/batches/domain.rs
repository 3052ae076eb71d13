//! What a batch is: how many of its recipients are where. Pure.

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::{list_query, model::named::Named, string_enum};

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
}

impl Batch {
    /// Whether nothing is queued, being sent or deferred any more.
    pub fn is_over(&self) -> bool {
        self.counts.queued + self.counts.deferred == 0
    }
}

list_query!(
    /// The query of `GET /batches/{id}/results`.
    ResultsQuery() {
    }
);
