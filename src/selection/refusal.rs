//! What a client is told of a selection that is not taken.

use super::{domain::Selection, queries::SelectionError};
use crate::{http::error::ApiError, model::wire::Fault};

impl From<SelectionError> for ApiError {
    fn from(error: SelectionError) -> Self {
        match error {
            SelectionError::Empty => Self {
                faults: vec![Fault::new(
                    "",
                    "empty_selection",
                    "give user_ids, group_ids or filter; `\"filter\": {}` selects every user",
                )],
                ..Self::new(
                    422,
                    "empty_selection",
                    "Nobody is selected: give `user_ids`, `group_ids` or `filter` (`{}` selects every user).",
                )
            },
            SelectionError::Unknown(faults) => faults.into(),
            SelectionError::TooMany => Self::new(
                422,
                "too_many_recipients",
                "More than 100,000 users are selected; send to them in several requests.",
            ),
            SelectionError::Db(error) => error.into(),
        }
    }
}

/// # Errors
/// 422 for a selection that selects nobody, or everybody by mistake.
pub fn check(selection: &Selection) -> Result<(), ApiError> {
    if selection.is_empty() {
        return Err(SelectionError::Empty.into());
    }
    let q = selection
        .filter
        .as_ref()
        .and_then(|filter| filter.q.as_ref());
    if q.is_some_and(|q| q.is_blank()) {
        return Err(ApiError::invalid(vec![Fault::new(
            "/filter/q",
            "empty",
            "must not be blank: leave it out to select without it",
        )]));
    }
    Ok(())
}
