//! Importing users from a file: read in bounded memory, checked line by line, stored chunk by chunk.
//!
//! The file is here in full before the first row is stored, so that no connection waits for a client
//! and a cut upload imports nothing.

mod chunkwise;
mod dry_run;
mod error;
mod event;
mod file;
mod holders;
mod invite;
mod notes;
mod options;
mod progress;
mod queries;
mod report;
mod seen;
mod shape;
mod store;
mod table;
mod tries;
mod whole;

use std::sync::Arc;

pub use self::{
    error::{Detected, ImportError, MOST_ROWS},
    file::Upload,
    options::{OnConflict, Options, Tools},
    progress::Progress,
    report::Report,
    shape::Shape,
    table::Format,
};

/// Imports a file.
///
/// # Errors
/// A bad header or too many rows: then nothing was done. When the database goes away, whole chunks
/// are there, or with `atomic` nothing; a repeat with the same file ends in the same state.
pub async fn import(
    upload: Upload,
    options: Options,
    tools: Tools,
    progress: Arc<Progress>,
) -> Result<Report, ImportError> {
    let (upload, shape) = upload.looked_at().await?;
    let options = Arc::new(options);
    if options.dry_run {
        dry_run::import(&upload, &shape, &options, &tools, &progress).await
    } else if options.atomic {
        whole::import(upload, shape, options, tools, progress).await
    } else {
        chunkwise::import(&upload, shape, &options, &tools, &progress).await
    }
}
