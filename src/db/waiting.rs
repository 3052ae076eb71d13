//! Waiting for a thread that waits for the database, until it is done or given up.

use std::sync::Arc;

use tokio::{
    task::{JoinError, JoinHandle},
    time::timeout,
};

use super::{
    held_up::{AFTER, HeldUp},
    patience::Patience,
    pools::Maker,
    watch::{Stuck, Watch},
};

/// A thread that somebody waits for, or nobody any more: it is watched until its end.
pub(super) struct Watched<T: Send + 'static> {
    pub(super) task: Option<JoinHandle<T>>,
    pub(super) watch: Arc<Watch>,
    pub(super) waiting: Waiting,
}

/// For whom, and how long.
#[derive(Clone)]
pub(super) struct Waiting {
    pub(super) patience: Patience,
    pub(super) maker: Arc<Maker>,
    pub(super) held_up: Arc<HeldUp>,
    /// What kind of request it is; `None`: it is none, or asks for the database itself.
    pub(super) kind: Option<usize>,
}

impl<T: Send + 'static> Watched<T> {
    /// Waits until it is done, or its connection has said nothing for so long that it is given up.
    pub(super) async fn done(&mut self) -> Result<Result<T, JoinError>, Stuck> {
        let Some(task) = &mut self.task else {
            return Err(Stuck::BeforeCommit);
        };
        let done = self.waiting.done(task, &self.watch).await;
        self.task = None;
        done
    }
}

impl Waiting {
    async fn done<T>(
        &self,
        task: &mut JoinHandle<T>,
        watch: &Watch,
    ) -> Result<Result<T, JoinError>, Stuck> {
        let limit = self.patience.limit();
        let mut next = AFTER;
        loop {
            if let Ok(done) = timeout(next, &mut *task).await {
                return Ok(done);
            }
            let quiet = watch.quiet_for();
            if let Some(kind) = self.kind.filter(|_| quiet >= AFTER) {
                self.held_up.add(kind, watch);
            }
            if quiet < limit {
                next = AFTER.min(limit - quiet);
                continue;
            }
            let are_over = watch.are_over();
            let Some(stuck) = watch.give_up() else {
                // It ended this very moment.
                next = limit;
                continue;
            };
            // What else is on the way to a host that is gone says nothing, either.
            if let Some(are_over) = are_over
                && self.maker.end(&are_over)
            {
                tracing::error!(
                    after = ?limit,
                    "the database does not answer a statement: all connections that are open are given up"
                );
            }
            return Err(stuck);
        }
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
        let (watch, waiting) = (Arc::clone(&self.watch), self.waiting.clone());
        runtime.spawn(async move { waiting.done(&mut task, &watch).await.is_ok() });
    }
}
