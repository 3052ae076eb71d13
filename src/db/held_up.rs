//! Requests of a kind that somebody's lock holds up: they stand aside, in places of their own, so that a lock on one table does
//! not keep those out who do not need it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

use super::watch::Watch;

/// A request that hears nothing from the database for so long is held up.
pub(super) const AFTER: Duration = Duration::from_secs(1);
/// A kind is held up for so long after one of them was seen to be.
const FOR: Duration = Duration::from_secs(2);

tokio::task_local! {
    static KIND: usize;
}

/// Answers a request of this kind: its route.
pub async fn of_kind<F: Future>(kind: usize, work: F) -> F::Output {
    KIND.scope(kind, work).await
}

/// The kind of the request that is answered; `None`: it is none, but a task of the service.
pub(super) fn kind() -> Option<usize> {
    KIND.try_with(|kind| *kind).ok()
}

/// Which kinds are held up, and the places where they stand aside.
#[derive(Debug)]
pub(super) struct HeldUp {
    seen: Mutex<HashMap<usize, Instant>>,
    pub(super) places: Arc<Semaphore>,
}

impl HeldUp {
    pub(super) fn new(places: usize) -> Self {
        Self {
            seen: Mutex::default(),
            places: Arc::new(Semaphore::new(places)),
        }
    }

    /// One of this kind is held up. It stands aside, if there is a place.
    pub(super) fn add(&self, kind: usize, watch: &Watch) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.insert(kind, Instant::now());
        drop(seen);
        watch.step_aside(&self.places);
    }

    pub(super) fn has(&self, kind: usize) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.get(&kind).is_some_and(|seen| seen.elapsed() < FOR)
    }
}
