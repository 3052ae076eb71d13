//! Why the database could not do what it was asked, and what of it is worth a repeat.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// Why the database could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It is away, or all connections stayed busy. Nothing was done.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// It went away while it was committing: nobody knows whether it was done.
    #[error("the database went away while it was committing: {0}")]
    Uncertain(String),
    /// As many requests of one kind are answered as may at once. Nothing was done.
    #[error("others of this kind took too long")]
    Crowded,
    /// Those of the same kind wait for a lock that somebody holds. Nothing was done.
    #[error("others of this kind are held up by a lock")]
    HeldUp,
    /// A statement failed.
    #[error("{}", told(.0))]
    Query(#[from] DieselError),
    /// A stored value is not one that this version writes.
    #[error("stored value is not understood: {0}")]
    Stored(String),
}

/// What the library says, and of a value that it could not read also why.
fn told(error: &DieselError) -> String {
    let mut told = error.to_string();
    if let DieselError::DeserializationError(cause) | DieselError::SerializationError(cause) = error
    {
        let mut next = cause.source();
        while let Some(cause) = next {
            told.push_str(": ");
            told.push_str(&cause.to_string());
            next = cause.source();
        }
    }
    told
}

impl DbError {
    /// The constraint or unique index that refused a row, if that is what happened.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Query(DieselError::DatabaseError(_, info)) => info.constraint_name(),
            _ => None,
        }
    }

    /// Whether the database is not there for anybody, as opposed to a statement that was refused. Nothing was done.
    pub fn is_away(&self) -> bool {
        match self {
            Self::Unavailable(_) => true,
            Self::Query(error) => ends_connection(error),
            _ => false,
        }
    }

    /// Whether the database takes no writes.
    pub fn is_read_only(&self) -> bool {
        matches!(self, Self::Query(error) if is_read_only(error))
    }

    /// Whether others held what was needed for too long: nothing was done, and a repeat may work. Known
    /// by the server's words, in English.
    pub fn is_busy(&self) -> bool {
        match self {
            Self::Query(DieselError::DatabaseError(DatabaseErrorKind::SerializationFailure, _)) => {
                true
            }
            Self::Query(DieselError::DatabaseError(DatabaseErrorKind::Unknown, info)) => {
                let message = info.message();
                message.contains("lock timeout")
                    || message.contains("canceling statement")
                    || message.contains("deadlock detected")
            }
            _ => false,
        }
    }
}

/// What Postgres, libpq and poolers say when the database is not there, by SQLSTATE. In English, and in lower case.
const AWAY: [&str; 18] = [
    // 08: the connection.
    "server closed the connection",
    "no connection to the server",
    "connection not open",
    "could not receive data from server",
    "could not send data to server",
    "ssl connection has been closed",
    "ssl syscall error",
    // 53100: the disk is full; 53200: so is the memory; 53300: too many connections.
    "no space left on device",
    "disk full",
    "out of memory",
    "too many clients already",
    "too many connections for",
    "remaining connection slots",
    // 57P01 to 57P05: it was shut down, crashed, starts; 40001: a standby was in the way.
    "terminating connection",
    "the database system is",
    "due to conflict with recovery",
    // PgBouncer.
    "query_wait_timeout",
    "server login",
];

/// Whether no statement will do better on this connection: it broke, or what it leads to takes no writes (25006) or nothing
/// at all.
pub(super) fn ends_connection(error: &DieselError) -> bool {
    match error {
        DieselError::DatabaseError(
            DatabaseErrorKind::ClosedConnection
            | DatabaseErrorKind::UnableToSendCommand
            | DatabaseErrorKind::ReadOnlyTransaction,
            _,
        )
        | DieselError::BrokenTransactionManager => true,
        DieselError::DatabaseError(
            DatabaseErrorKind::Unknown | DatabaseErrorKind::SerializationFailure,
            info,
        ) => {
            let message = info.message().to_ascii_lowercase();
            AWAY.iter().any(|words| message.contains(words))
        }
        DieselError::RollbackErrorOnCommit { commit_error, .. } => ends_connection(commit_error),
        _ => false,
    }
}

/// Whether nothing may be written where it was tried (25006).
pub(super) fn is_read_only(error: &DieselError) -> bool {
    matches!(
        error,
        DieselError::DatabaseError(DatabaseErrorKind::ReadOnlyTransaction, _)
    )
}

/// A stored number, where it has to fit. Never another one instead: secrets are derived from numbers.
///
/// # Errors
/// [`DbError::Stored`] when it does not fit.
pub fn fitting<N: Copy + std::fmt::Display, T: TryFrom<N>>(number: N) -> Result<T, DbError> {
    T::try_from(number).map_err(|_| DbError::Stored(number.to_string()))
}
