//! Why the database could not do what it was asked, and what of it is worth a repeat.

use diesel::result::{DatabaseErrorKind, Error as DieselError};

/// Why the database could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// It is away, or all connections stayed busy. Nothing was done.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// As many requests of one kind are answered as may at once. Nothing was done.
    #[error("others of this kind took too long")]
    Crowded,
    /// A statement failed.
    #[error(transparent)]
    Query(#[from] DieselError),
    /// A stored value is not one that this version writes.
    #[error("stored value is not understood: {0}")]
    Stored(String),
}

impl DbError {
    /// The constraint or unique index that refused a row, if that is what happened.
    pub fn constraint(&self) -> Option<&str> {
        match self {
            Self::Query(DieselError::DatabaseError(_, info)) => info.constraint_name(),
            _ => None,
        }
    }

    /// Whether the connection broke, as opposed to a statement that was refused.
    pub fn is_gone(&self) -> bool {
        matches!(self, Self::Query(error) if is_gone(error))
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
                    || message.contains("statement timeout")
                    || message.contains("deadlock detected")
            }
            _ => false,
        }
    }
}

/// Whether the connection itself is gone, as opposed to a statement that was refused.
fn is_gone(error: &DieselError) -> bool {
    match error {
        DieselError::DatabaseError(
            DatabaseErrorKind::ClosedConnection | DatabaseErrorKind::UnableToSendCommand,
            _,
        )
        | DieselError::BrokenTransactionManager => true,
        // Postgres says so in words while it shuts down or starts (SQLSTATE class 57P).
        DieselError::DatabaseError(DatabaseErrorKind::Unknown, info) => {
            let message = info.message();
            message.contains("terminating connection")
                || message.contains("the database system is")
                || message.contains("server closed the connection")
                || message.contains("no connection to the server")
                || message.contains("SSL connection has been closed")
        }
        DieselError::RollbackErrorOnCommit { commit_error, .. } => is_gone(commit_error),
        _ => false,
    }
}

/// A stored enum value.
///
/// # Errors
/// [`DbError::Stored`] when this version does not know it.
pub fn stored<T>(text: &str, read: impl FnOnce(&str) -> Option<T>) -> Result<T, DbError> {
    read(text).ok_or_else(|| DbError::Stored(text.to_owned()))
}

/// A stored number, where it has to fit. Never another one instead: secrets are derived from numbers.
///
/// # Errors
/// [`DbError::Stored`] when it does not fit.
pub fn fitting<N: Copy + std::fmt::Display, T: TryFrom<N>>(number: N) -> Result<T, DbError> {
    T::try_from(number).map_err(|_| DbError::Stored(number.to_string()))
}
