//! Values that settings of several sections have.

use std::num::NonZeroU32;

/// The parts of a comma-separated list, each of them checked.
///
/// # Errors
/// That of the first part that is wrong.
pub fn list<T>(text: &str, check: impl FnMut(&str) -> Result<T, String>) -> Result<Vec<T>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
        .map(check)
        .collect()
}

/// A whole number of 1 or more.
///
/// # Errors
/// When it is none.
pub fn number(text: &str) -> Result<NonZeroU32, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a whole number of 1 or more"))
}
