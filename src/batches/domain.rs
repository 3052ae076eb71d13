//! What a batch is: how many of its recipients are where. Pure.

use chrono::{DateTime, Utc};
use deserr::Deserr;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use crate::{
    http::paging::Limit,
    model::wire::{Faults, QueryTypes},
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

/// The query of `GET /batches/{id}/results`.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = Faults, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ResultsQuery {
    /// How many rows a page holds.
    #[deserr(default)]
    #[param(value_type = Option<u32>, minimum = 1, maximum = 200, default = 50)]
    pub limit: Limit,
    /// `next_cursor` of the page before.
    #[deserr(default)]
    pub cursor: Option<String>,
    /// Also count all recipients.
    #[deserr(default)]
    #[param(value_type = Option<bool>)]
    pub count: bool,
}

impl QueryTypes for ResultsQuery {
    const FLAGS: &'static [&'static str] = &["count"];
    const NUMBERS: &'static [&'static str] = &["limit"];
}
