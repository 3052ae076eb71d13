//! Why nothing, or not everything, was imported.

use std::{fmt, io};

use super::report::Report;
use crate::{
    db::DbError,
    http::error::ApiError,
    model::wire::Flaw,
    secrets::password::HashError,
    selection::queries::SelectionError,
    users::csv::{LineFault, told::Shown},
};

/// As many users as a file may hold.
pub const MOST_ROWS: usize = 100_000;

/// Why nothing, or not everything, was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the header is wrong")]
    Header(Vec<LineFault>),
    #[error("{}", .0.detail)]
    Unreadable(Flaw),
    #[error("{0}")]
    Detected(Detected),
    #[error("the file has more than {MOST_ROWS} records")]
    TooManyRows,
    #[error("the file cannot be read: {0}")]
    File(#[from] io::Error),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("{0}")]
    Api(ApiError),
    /// As it was told to ([`Progress::stop`](super::Progress::stop)).
    #[error("it was told to stop")]
    Stopped,
    /// Whole chunks are stored, and then it could not go on.
    #[error("stopped half-way: {cause}")]
    Partly {
        report: Box<Report>,
        cause: Box<ImportError>,
    },
}

/// A file in another encoding than was said, and how its names would be stored.
#[derive(Debug)]
pub struct Detected {
    /// What to say as its charset.
    pub charset: String,
    pub names: Vec<String>,
}

impl fmt::Display for Detected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let not = match &*self.charset {
            "utf-8" => "in the encoding that was said",
            _ => "UTF-8",
        };
        write!(f, "the file is not {not}; it looks like {}", self.charset)?;
        if !self.names.is_empty() {
            let names: Vec<String> = self
                .names
                .iter()
                .map(|name| format!("`{}`", Shown(name)))
                .collect();
            write!(f, ", and would be stored with {}", names.join(", "))?;
        }
        Ok(())
    }
}

impl From<ApiError> for ImportError {
    fn from(error: ApiError) -> Self {
        Self::Api(error)
    }
}

impl From<HashError> for ImportError {
    fn from(error: HashError) -> Self {
        Self::Api(error.into())
    }
}

impl From<diesel::result::Error> for ImportError {
    fn from(error: diesel::result::Error) -> Self {
        Self::Db(error.into())
    }
}

impl From<SelectionError> for ImportError {
    fn from(error: SelectionError) -> Self {
        match error {
            SelectionError::Db(error) => Self::Db(error),
            // The selection is ours: users of this very transaction.
            error => Self::Api(ApiError::internal(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_guessed_file_moves_no_cursor() {
        let detected = Detected {
            charset: "windows-1252".to_owned(),
            names: vec!["\u{1B}[2Jé".to_owned()],
        };
        assert_eq!(
            detected.to_string(),
            r"the file is not UTF-8; it looks like windows-1252, and would be stored with `\u{1b}[2Jé`"
        );
    }
}
