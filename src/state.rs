//! What every handler may use. What belongs to one feature is registered by it, beside this.

use std::sync::Arc;

use tokio::sync::Notify;

use crate::{
    clock::Clock,
    db::Db,
    metrics::Metrics,
    secrets::{keys::KeyRing, line::Line, password::Hasher},
};

/// What every handler may use.
pub struct State {
    pub db: Db,
    pub clock: Clock,
    pub keys: Arc<KeyRing>,
    pub hasher: Hasher,
    /// Where strangers with PINs wait.
    pub pins: Line,
    /// Rung when something was queued.
    pub bell: Arc<Notify>,
    pub metrics: Arc<Metrics>,
}
