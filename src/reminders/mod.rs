//! Reminders of pending invitations, as the reminder setting says (PRODUCT §5).
//!
//! Every instance looks; each pending invitation is looked at once a day, by one of them.

pub mod due;
pub mod queries;

use std::time::Duration;

use crate::{
    clock::Clock,
    db::{Db, DbError},
};

/// How often is looked whether it is nine somewhere.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Queues reminders, until it is dropped.
pub async fn run(db: Db, clock: Clock) {
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        match sweep(&db, &clock).await {
            Ok(0) => {}
            Ok(queued) => tracing::info!(queued, "reminders"),
            Err(error) => tracing::warn!(%error, "reminders cannot be queued; trying again"),
        }
    }
}

/// Queues every reminder that is due, a bounded number in each transaction. Gives how many.
///
/// # Errors
/// When the database is away; what was queued before stays.
pub async fn sweep(db: &Db, clock: &Clock) -> Result<usize, DbError> {
    let mut queued = 0;
    loop {
        let clock = clock.clone();
        let step = db
            .transaction(move |connection| queries::step(connection, &clock))
            .await?;
        queued += step.queued;
        if !step.may_be_more {
            return Ok(queued);
        }
    }
}
