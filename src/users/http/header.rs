//! A file whose header is wrong, as a client is told of it.

use crate::{http::error::ApiError, model::wire::Fault, users::csv::LineFault};

/// The code where several columns mean one field.
const AMBIGUOUS_COLUMNS: &str = "ambiguous_columns";

/// Everything that is wrong with a header. Of columns that are in doubt the whole problem speaks.
pub(super) fn of_header(faults: Vec<LineFault>) -> ApiError {
    let doubtful = faults
        .iter()
        .find(|fault| fault.code == AMBIGUOUS_COLUMNS)
        .map(|fault| format!("The file is not taken: {}.", fault.detail));
    let faults = faults.into_iter().map(|fault| {
        let column = fault
            .column
            .map(|name| format!("/{}", name.replace('~', "~0").replace('/', "~1")));
        let detail = format!("line {}: {}", fault.line, fault.detail);
        Fault::new(column.unwrap_or_default(), fault.code, detail)
    });
    let error = ApiError::invalid(faults.collect());
    match doubtful {
        Some(detail) => ApiError {
            code: AMBIGUOUS_COLUMNS,
            detail: detail.into(),
            ..error
        },
        None => error,
    }
}
