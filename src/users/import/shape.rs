//! What a file of users is, before its first record. Pure.

use crate::users::csv::told::{ColumnTold, Warning};

/// What a first look at a file found.
#[derive(Debug, Clone)]
pub struct Shape {
    pub rows: usize,
    /// What becomes of its columns; a list of addresses has none.
    pub columns: Vec<ColumnTold>,
    /// What to look at again in its header, or in the rows of a list.
    pub warnings: Vec<Warning>,
    pub(super) has_passwords: bool,
    /// What the file was read as.
    pub(super) encoding: String,
}
