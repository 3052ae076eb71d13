//! How far an import is.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::error::ImportError;

/// How far an import is, for whoever watches it; and whether it should stop.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicUsize,
    is_stopped: AtomicBool,
}

impl Progress {
    /// The records that are done with.
    pub fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Lets it finish what it is at, and no more.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    pub(super) fn add(&self, records: usize) {
        self.done.fetch_add(records, Ordering::Relaxed);
    }

    pub(super) fn begin_anew(&self) {
        self.done.store(0, Ordering::Relaxed);
    }

    pub(super) fn check(&self) -> Result<(), ImportError> {
        if self.is_stopped.load(Ordering::Relaxed) {
            return Err(ImportError::Stopped);
        }
        Ok(())
    }
}
