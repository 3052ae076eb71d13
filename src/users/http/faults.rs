//! What a client is told when a file is not imported.

use crate::{
    http::error::ApiError,
    model::wire::Fault,
    users::{
        csv::LineFault,
        import::{ImportError, MOST_ROWS},
    },
};

/// The code where several columns mean one field.
const AMBIGUOUS_COLUMNS: &str = "ambiguous_columns";

impl From<ImportError> for ApiError {
    fn from(error: ImportError) -> Self {
        match error {
            ImportError::Header(faults) => of_header(faults),
            ImportError::Unreadable(flaw) => {
                let detail = format!("{}. Nothing was imported.", sentence(&flaw.detail));
                Self::new(422, flaw.code, detail)
            }
            ImportError::Detected(detected) => Self::new(
                422,
                "encoding_detected",
                format!(
                    "{}. If that is right, send the file again with `; charset={}` behind its `Content-Type`; else \
                     say another (`ibm850` for CSV of MS-DOS, `macintosh`), or save it as CSV UTF-8. Nothing was imported.",
                    sentence(&detected.to_string()),
                    detected.charset
                ),
            ),
            ImportError::TooManyRows => Self::new(
                422,
                "too_many_rows",
                format!(
                    "The file has more than {MOST_ROWS} records; split it. Nothing was imported."
                ),
            ),
            ImportError::File(error) => Self::internal(error),
            ImportError::Db(error) => error.into(),
            ImportError::Api(error) => error,
            ImportError::Stopped => Self::unavailable(5, error),
            ImportError::Partly { report, cause } => Self {
                detail: format!(
                    "The import stopped half-way: {} users were created, {} updated, and stay so. \
                     Repeat the file with on_conflict=skip or update, which goes on where it stopped.",
                    report.created, report.updated
                )
                .into(),
                ..Self::from(*cause)
            },
        }
    }
}

/// With a capital letter in front.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_ascii_uppercase());
    first.into_iter().chain(chars).collect()
}

/// Everything that is wrong with a header. Of columns that are in doubt the whole problem speaks.
fn of_header(faults: Vec<LineFault>) -> ApiError {
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
