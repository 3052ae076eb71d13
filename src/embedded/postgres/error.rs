//! Why there is no embedded Postgres, in one line for the operator.
//!
//! Pure.

use std::{
    io::{self, ErrorKind},
    path::Path,
};

/// Why there is no embedded Postgres: one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// Another instance holds the lock. [`url_of_running`](super::url_of_running) may lead to its
    /// database.
    #[error("ENLIST_DATA_DIR: {0}")]
    InUse(String),
    /// Anything else. A program can do nothing about it; the line tells a person what to do.
    #[error("{0}")]
    Failed(String),
}

pub(super) type Result<T> = std::result::Result<T, EmbeddedError>;

pub(super) fn failed<T>(line: impl Into<String>) -> Result<T> {
    Err(EmbeddedError::Failed(line.into()))
}

/// Turns what went wrong with a file (not writable, disk full) into an error.
pub(super) fn cannot(action: &str, path: &Path) -> impl FnOnce(io::Error) -> EmbeddedError {
    let tried = format!("ENLIST_DATA_DIR: cannot {action} {}", path.display());
    move |error| EmbeddedError::Failed(format!("{tried}: {error}"))
}

/// Counts one kind of failure as success.
pub(super) fn unless(kind: ErrorKind) -> impl Fn(io::Error) -> io::Result<()> {
    move |error| {
        if error.kind() == kind {
            Ok(())
        } else {
            Err(error)
        }
    }
}
