//! How long the database may take for a statement, and for a lock.

use std::time::Duration;

/// How long a thread waits for a connection to be opened.
pub(super) const OPENED_WITHIN: Duration = Duration::from_secs(3);

/// How long the database may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// Whether it is there at all.
    Probe,
    /// A request.
    Short,
    /// What looks at very many rows, or changes them.
    Long,
}

impl Patience {
    /// When the server gives up a statement, and a lock, by itself: the connection is whole then. In milliseconds.
    fn of_server(self) -> (u32, u32) {
        match self {
            Self::Probe => (1_500, 1_000),
            Self::Short => (4_500, 4_000),
            Self::Long => (30_000, 10_000),
        }
    }

    /// When a connection that says nothing is given up: the server, or the way to it, is not there.
    pub(super) fn limit(self) -> Duration {
        let (statement, _) = self.of_server();
        Duration::from_millis(u64::from(statement) + 500)
    }

    /// The statement that tells the server.
    pub(super) fn said(self) -> String {
        let (statement, lock) = self.of_server();
        format!("SET statement_timeout = {statement}; SET lock_timeout = {lock}")
    }
}
