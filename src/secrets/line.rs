//! Lines in which strangers wait to have a secret looked at: one at a time goes on, so that all of them are in nobody's way,
//! neither where passwords are hashed nor at the database.

use std::{sync::Arc, time::Duration};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Strangers who wait or are looked at: a second's work. More are sent away at once.
const STRANGERS: usize = 100;
/// How long a request waits for its turn.
pub(super) const WAIT: Duration = Duration::from_secs(10);

/// Too many strangers wait already, or for too long.
#[derive(Debug, thiserror::Error)]
#[error("too many strangers wait to have a secret looked at")]
pub struct Crowded;

/// One line.
#[derive(Clone)]
pub struct Line {
    /// The stranger who goes on.
    first: Arc<Semaphore>,
    /// Strangers who wait or are looked at.
    pub(super) strangers: Arc<Semaphore>,
}

impl Default for Line {
    fn default() -> Self {
        Self {
            first: Arc::new(Semaphore::new(1)),
            strangers: Arc::new(Semaphore::new(STRANGERS)),
        }
    }
}

/// A turn to have a secret looked at, until it is dropped.
pub struct Turn {
    first: Option<OwnedSemaphorePermit>,
    stranger: Option<OwnedSemaphorePermit>,
}

impl Turn {
    pub(super) const KNOWN: Self = Self {
        first: None,
        stranger: None,
    };

    /// Lets the next one go on. Whoever had the turn counts among the strangers for as long as this is kept.
    pub(super) fn pass_on(self) -> Option<OwnedSemaphorePermit> {
        drop(self.first);
        self.stranger
    }
}

impl Line {
    /// A turn: at once for somebody who is known, in line for a stranger. To be waited for before a try is counted: what
    /// will not be looked at is no try.
    ///
    /// # Errors
    /// [`Crowded`].
    pub async fn turn(&self, is_known: bool) -> Result<Turn, Crowded> {
        if is_known {
            return Ok(Turn::KNOWN);
        }
        let stranger = Arc::clone(&self.strangers)
            .try_acquire_owned()
            .map_err(|_| Crowded)?;
        let line = Arc::clone(&self.first).acquire_owned();
        let first = tokio::time::timeout(WAIT, line).await;
        Ok(Turn {
            first: Some(first.map_err(|_| Crowded)?.map_err(|_| Crowded)?),
            stranger: Some(stranger),
        })
    }
}
