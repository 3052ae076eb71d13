//! What several features say inside their transactions, beside their statements.

/// Run inside a transaction whose statements depend on how many rows their parameters select.
pub const CUSTOM_PLAN: &str = "SET LOCAL plan_cache_mode = force_custom_plan";

/// The channel on which instances tell each other that there is something to send.
pub const OUTBOX_CHANNEL: &str = "enlist_outbox";
/// Run inside a transaction that queues messages: workers of any instance look when it is committed.
pub const WAKE_WORKERS: &str = "NOTIFY enlist_outbox";
