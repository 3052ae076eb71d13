//! Waiting for a thread that waits for the database, until it is done or given up.

use std::sync::Arc;

use tokio::{
    task::{JoinError, JoinHandle},
    time::timeout,
};

use super::{
    connection::Epoch,
    patience::Patience,
    watch::{Stuck, Watch},
};

/// A thread that somebody waits for, or nobody any more: it is watched until its end.
pub(super) struct Watched<T: Send + 'static> {
    pub(super) task: Option<JoinHandle<T>>,
    pub(super) watch: Arc<Watch>,
    pub(super) patience: Patience,
    pub(super) epoch: Arc<Epoch>,
}

impl<T: Send + 'static> Watched<T> {
    /// Waits until it is done, or its connection has said nothing for so long that it is given up.
    pub(super) async fn done(&mut self) -> Result<Result<T, JoinError>, Stuck> {
        let Some(task) = &mut self.task else {
            return Err(Stuck::BeforeCommit);
        };
        let done = done(task, &self.watch, self.patience, &self.epoch).await;
        self.task = None;
        done
    }
}

async fn done<T>(
    task: &mut JoinHandle<T>,
    watch: &Watch,
    patience: Patience,
    epoch: &Epoch,
) -> Result<Result<T, JoinError>, Stuck> {
    let limit = patience.limit();
    let mut next = limit;
    loop {
        if let Ok(done) = timeout(next, &mut *task).await {
            return Ok(done);
        }
        let quiet = watch.quiet_for().unwrap_or_default();
        if quiet < limit {
            next = limit - quiet;
            continue;
        }
        let Some(stuck) = watch.give_up() else {
            // It ended this very moment.
            next = limit;
            continue;
        };
        tracing::error!(
            given_up = ?limit,
            committing = stuck == Stuck::InCommit,
            "the database says nothing: this connection and all that are open are given up"
        );
        // What is on the way to a host that is gone says nothing, either.
        epoch.end();
        return Err(stuck);
    }
}

impl<T: Send + 'static> Drop for Watched<T> {
    fn drop(&mut self) {
        let Some(mut task) = self.task.take().filter(|task| !task.is_finished()) else {
            return;
        };
        // The client is gone; its thread still has a connection. Where the runtime is going, too, nobody waits for one.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let (watch, patience, epoch) = (
            Arc::clone(&self.watch),
            self.patience,
            Arc::clone(&self.epoch),
        );
        runtime.spawn(async move { done(&mut task, &watch, patience, &epoch).await.is_ok() });
    }
}
