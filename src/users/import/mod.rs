//! Importing users from a file: read in bounded memory, checked line by line, stored chunk by chunk.
//!
//! The file is here in full before the first row is stored, so that no connection waits for a client
//! and a cut upload imports nothing.

mod chunkwise;
mod dry_run;
mod error;
mod file;
mod invite;
mod options;
mod progress;
mod queries;
mod report;
mod store;
mod tries;
mod whole;

use std::sync::Arc;

use serde_json::json;

use crate::{
    audit::domain::{Action, Event, SubjectKind},
    db::{Db, DbError},
};

pub use self::{
    error::{ImportError, MOST_ROWS},
    file::{Format, Shape, Upload},
    options::{OnConflict, Options, Tools},
    progress::Progress,
    report::Report,
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
    let (db, options) = (tools.db.clone(), Arc::new(options));
    let done = if options.dry_run {
        return dry_run::import(&upload, &options, &tools, &progress).await;
    } else if options.atomic {
        whole::import(upload, shape, Arc::clone(&options), tools, progress).await
    } else {
        chunkwise::import(&upload, shape, &options, &tools, &progress).await
    };
    let stored = match &done {
        Ok(report) => Some(report),
        Err(ImportError::Partly { report, .. }) => Some(&**report),
        Err(_) => None,
    };
    if let Some(report) = stored.filter(|report| report.created + report.updated > 0) {
        match record(&db, &options, report).await {
            // The database went away half-way: what is stored matters more to whoever reads it.
            Err(error) if done.is_err() => {
                tracing::error!(%error, "it cannot be written down who imported users");
            }
            recorded => recorded?,
        }
    }
    done
}

/// Writes down who imported how many.
async fn record(db: &Db, options: &Options, report: &Report) -> Result<(), DbError> {
    let event = Event::new(Action::UsersImported, SubjectKind::User, None).after(&json!({
        "created": report.created, "updated": report.updated, "skipped": report.skipped,
        "failed": report.failed, "invite": options.invite.is_some(),
    }));
    let trail = options.trail.clone();
    db.transaction(move |connection| trail.record(connection, &event))
        .await
}
