//! When storing is tried again.

use std::time::Duration;

use crate::db::DbError;

/// How often something is tried again that somebody else's change crossed.
pub(super) const TRIES: u32 = 3;
/// Between two tries.
pub(super) const PAUSE: Duration = Duration::from_millis(200);

/// Whether somebody else's change came between, or nothing was begun: a repeat sees it and goes another way.
pub(super) fn is_crossed(error: &DbError) -> bool {
    error.constraint().is_some() || error.is_busy() || matches!(error, DbError::Unavailable(_))
}
