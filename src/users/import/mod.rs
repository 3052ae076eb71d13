//! Importing users from a file: read in bounded memory, checked line by line, stored chunk by chunk.
//!
//! The file is here in full before the first row is stored, so that no connection waits for a client
//! and a cut upload imports nothing.

mod chunkwise;
mod dry_run;
mod file;
mod queries;
mod store;
mod whole;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use diesel::PgConnection;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::file::{Format, Shape, Upload};
use super::csv::LineFault;
use crate::{
    audit::Trail,
    clock::Clock,
    db::{Db, DbError},
    http::{
        error::ApiError,
        idempotent::{Answer, Lease},
    },
    invitations::{domain::Overrides, send},
    secrets::{
        keys::KeyRing,
        password::{HashError, Hasher},
    },
    selection::{
        domain::{Ids, Selection},
        queries::SelectionError,
    },
    string_enum,
};
use store::Done;

/// As many users as a file may hold.
pub const MOST_ROWS: usize = 100_000;
/// Faults that an answer lists; all are counted.
const LISTED: usize = 1_000;
/// How often a chunk is tried that somebody else's change crossed.
const TRIES: u32 = 3;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);

string_enum! {
    /// What to do with a record whose username or e-mail address a user has already.
    OnConflict {
        /// Report it as a fault.
        Fail = "fail",
        /// Leave the user as it is.
        Skip = "skip",
        /// Change what the record says.
        Update = "update",
    }
}

/// What is wanted of an import.
#[derive(Clone)]
pub struct Options {
    pub on_conflict: OnConflict,
    /// Store nothing, only say what would come of it.
    pub dry_run: bool,
    /// All or nothing.
    pub atomic: bool,
    /// Invite whom it creates, with secrets derived by these keys.
    pub invite: Option<Arc<KeyRing>>,
    /// Who does it, as batches keep it.
    pub trail: Trail,
    /// The idempotency key that it is done under: nothing is stored once somebody else has it, and the
    /// report is stored with the last users.
    pub lease: Option<Arc<Lease>>,
}

/// What an import works with.
#[derive(Clone)]
pub struct Tools {
    pub db: Db,
    pub clock: Clock,
    pub hasher: Hasher,
}

/// How far an import is, for whoever watches it; and whether it should stop.
#[derive(Debug, Default)]
pub struct Progress {
    done: AtomicUsize,
    is_stopped: AtomicBool,
}

impl Progress {
    /// The records that are done with.
    pub fn done(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Lets it finish what it is at, and no more.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
    }

    fn add(&self, records: usize) {
        self.done.fetch_add(records, Ordering::Relaxed);
    }

    fn begin_anew(&self) {
        self.done.store(0, Ordering::Relaxed);
    }

    fn check(&self) -> Result<(), ImportError> {
        if self.is_stopped.load(Ordering::Relaxed) {
            return Err(ImportError::Stopped);
        }
        Ok(())
    }
}

/// What came of an import.
#[derive(Debug, Clone, Default, Serialize, ToSchema)]
pub struct Report {
    /// Users who were not there before.
    pub created: usize,
    /// Users who were changed.
    pub updated: usize,
    /// Records that left a user as it was.
    pub skipped: usize,
    /// Records that could not be taken.
    pub failed: usize,
    /// What was wrong with them: the first 1,000 faults, in the order of the file.
    pub errors: Vec<LineFault>,
    /// The batches of the invitations that were sent, with `invite=true`.
    pub batch_ids: Vec<Uuid>,
}

impl Report {
    /// Adds what came of the records that follow.
    fn add(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.skipped += other.skipped;
        self.failed += other.failed;
        self.list(other.errors);
        self.batch_ids.extend(other.batch_ids);
    }

    /// Adds what came of other records of the same part of the file.
    fn mix(&mut self, other: Self) {
        let mut errors = std::mem::take(&mut self.errors);
        errors.extend(other.errors);
        // Both are the first of their kind, so the first of them all are among them.
        errors.sort_by_key(|fault| fault.line);
        self.add(Self { errors, ..other });
    }

    fn list(&mut self, faults: Vec<LineFault>) {
        let room = LISTED.saturating_sub(self.errors.len());
        self.errors.extend(faults.into_iter().take(room));
    }

    fn refuse(&mut self, faults: Vec<LineFault>) {
        self.failed += 1;
        self.list(faults);
    }

    /// Of a file that is taken as a whole or not at all: only what is wrong with it.
    fn of_refusal(self) -> Self {
        Self {
            failed: self.failed,
            errors: self.errors,
            ..Self::default()
        }
    }

    /// As it is answered with.
    fn answer(&self) -> Result<Answer, ImportError> {
        Ok(Answer {
            status: 200,
            location: None,
            body: serde_json::to_string(self).map_err(ApiError::internal)?,
            replayed: false,
        })
    }
}

/// Why nothing, or not everything, was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the header is wrong")]
    Header(Vec<LineFault>),
    #[error("the file has more than {MOST_ROWS} records")]
    TooManyRows,
    #[error("the file cannot be read: {0}")]
    File(#[from] io::Error),
    #[error(transparent)]
    Db(#[from] DbError),
    #[error("{0}")]
    Api(ApiError),
    /// As it was told to ([`Progress::stop`]).
    #[error("it was told to stop")]
    Stopped,
    /// Whole chunks are stored, and then it could not go on.
    #[error("stopped half-way: {cause}")]
    Partly {
        report: Box<Report>,
        cause: Box<ImportError>,
    },
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
    let (upload, shape) = blocking(move || {
        let shape = upload.look()?;
        Ok((upload, shape))
    })
    .await?;
    let options = Arc::new(options);
    if options.dry_run {
        dry_run::import(&upload, &options, &tools, &progress).await
    } else if options.atomic {
        whole::import(upload, shape, options, tools, progress).await
    } else {
        chunkwise::import(&upload, shape, &options, &tools, &progress).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> Result<T, ImportError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(ApiError::internal)?
}

/// Whether somebody else's change came between, or nothing was begun: a repeat sees it and goes another way.
fn is_crossed(error: &DbError) -> bool {
    error.constraint().is_some() || error.is_busy() || matches!(error, DbError::Unavailable(_))
}

/// Invites whom the transaction created, if that is wanted.
fn invite(
    connection: &mut PgConnection,
    options: &Options,
    clock: &Clock,
    done: &mut Done,
) -> Result<(), ImportError> {
    let Some(keys) = options.invite.as_ref().filter(|_| !done.created.is_empty()) else {
        return Ok(());
    };
    let selection = Selection {
        user_ids: Some(Ids(std::mem::take(&mut done.created))),
        ..Selection::default()
    };
    let sent = send::send(
        connection,
        &options.trail,
        keys.signing(),
        &selection,
        &Overrides::default(),
    )?;
    done.report.batch_ids.push(sent.batch_id);
    Ok(())
}
