//! Importing users from a file: read in bounded memory, checked line by line, stored chunk by chunk.
//!
//! The file is here in full before the first row is stored, so that no connection waits for a client
//! and a cut upload imports nothing.

mod file;
mod queries;
mod store;

use std::{
    collections::HashMap,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use diesel::PgConnection;
use secrecy::SecretString;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

pub use self::file::{Format, Shape, Upload};
use self::{
    file::{Chunk, Chunks},
    store::{Done, Ready, store},
};
use super::{csv::LineFault, password::Hasher};
use crate::{
    clock::Clock,
    db::{Db, DbError},
    error::ApiError,
    invitations::{
        domain::{Ids, Overrides, Selection},
        selection::SelectionError,
        send,
    },
    secrets::keys::KeyRing,
    string_enum,
};

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
    pub created_by: String,
}

/// What an import works with.
#[derive(Clone)]
pub struct Tools {
    pub db: Db,
    pub clock: Clock,
    pub hasher: Hasher,
}

/// What came of an import.
#[derive(Debug, Default, Serialize, ToSchema)]
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
    fn add(&mut self, other: Self) {
        self.created += other.created;
        self.updated += other.updated;
        self.skipped += other.skipped;
        self.failed += other.failed;
        self.list(other.errors);
        self.batch_ids.extend(other.batch_ids);
    }

    fn list(&mut self, faults: Vec<LineFault>) {
        let room = LISTED.saturating_sub(self.errors.len());
        self.errors.extend(faults.into_iter().take(room));
    }

    fn refuse(&mut self, faults: Vec<LineFault>) {
        self.failed += 1;
        self.list(faults);
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

/// Imports a file. `progress` counts the records that are done with.
///
/// # Errors
/// A bad header or too many rows: then nothing was done. When the database goes away, whole chunks
/// are there, or with `atomic` nothing; a repeat with the same file ends in the same state.
pub async fn import(
    upload: Upload,
    options: Options,
    tools: Tools,
    progress: Arc<AtomicUsize>,
) -> Result<Report, ImportError> {
    let (upload, shape) = blocking(move || {
        let shape = upload.look()?;
        Ok((upload, shape))
    })
    .await?;
    if options.atomic || options.dry_run {
        let hashes = if shape.has_passwords && !options.dry_run {
            hash_all(&upload, &tools.hasher).await?
        } else {
            Vec::new()
        };
        let whole = Arc::new((upload, options, hashes));
        let mut tries_left = TRIES;
        loop {
            progress.store(0, Ordering::Relaxed);
            match import_as_one(Arc::clone(&whole), tools.clone(), Arc::clone(&progress)).await {
                Err(ImportError::Db(error)) if is_crossed(&error) => {
                    if tries_left == 0 {
                        return Err(ImportError::Db(DbError::Unavailable(error.to_string())));
                    }
                    tries_left -= 1;
                    tokio::time::sleep(PAUSE).await;
                }
                ended => return ended,
            }
        }
    } else {
        import_in_chunks(upload, options, tools, progress).await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ImportError> + Send + 'static,
) -> Result<T, ImportError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(ApiError::internal)?
}

/// Each chunk in a transaction of its own.
async fn import_in_chunks(
    upload: Upload,
    options: Options,
    tools: Tools,
    progress: Arc<AtomicUsize>,
) -> Result<Report, ImportError> {
    let options = Arc::new(options);
    let mut report = Report::default();
    let mut chunks = Chunks::of(&upload)?;
    let mut changed: HashMap<Uuid, u32> = HashMap::new();
    loop {
        let (next, chunk) = blocking(move || {
            let chunk = chunks.advance()?;
            Ok((chunks, chunk))
        })
        .await?;
        chunks = next;
        let Some(chunk) = chunk else {
            return Ok(report);
        };
        let read = chunk.read;
        match import_chunk(chunk, &options, &tools, changed).await {
            Ok((done, known)) => {
                changed = known;
                report.add(done);
                report.errors.sort_by_key(|fault| fault.line);
                progress.fetch_add(read, Ordering::Relaxed);
            }
            Err(cause) if report.created + report.updated == 0 => return Err(cause),
            Err(cause) => {
                return Err(ImportError::Partly {
                    report: Box::new(report),
                    cause: Box::new(cause),
                });
            }
        }
    }
}

/// One chunk, tried again when it was crossed or the database was away for a moment. `changed` are the
/// users that the file had before; they come back with those of this chunk.
async fn import_chunk(
    chunk: Chunk,
    options: &Arc<Options>,
    tools: &Tools,
    mut changed: HashMap<Uuid, u32>,
) -> Result<(Report, HashMap<Uuid, u32>), ImportError> {
    let mut ready = Vec::with_capacity(chunk.rows.len());
    for mut row in chunk.rows {
        let has_password = row.password.is_some();
        let password_hash = match row.password.take() {
            Some(password) => Some(tools.hasher.hash(password).await?),
            None => None,
        };
        ready.push(Ready {
            row,
            has_password,
            password_hash,
        });
    }
    let ready = Arc::new(ready);
    let known = Arc::new(changed);
    let mut tries_left = TRIES;
    let done = loop {
        let (ready, known, options, tools_now) = (
            Arc::clone(&ready),
            Arc::clone(&known),
            Arc::clone(options),
            tools.clone(),
        );
        let stored = tools
            .db
            .transaction(move |connection| {
                let mut done = store(connection, &tools_now.clock, &options, &ready, &known)?;
                invite(connection, &options, &tools_now.clock, &mut done)?;
                Ok::<_, ImportError>(done)
            })
            .await;
        match stored {
            Err(ImportError::Db(error)) if tries_left > 0 && is_crossed(&error) => {
                tries_left -= 1;
                tokio::time::sleep(PAUSE).await;
            }
            stored => break stored?,
        }
    };
    changed = Arc::try_unwrap(known).unwrap_or_else(|shared| (*shared).clone());
    changed.extend(done.changed);
    let mut report = chunk.refused;
    report.add(done.report);
    Ok((report, changed))
}

/// Whether somebody else's change came between, or nothing was begun: a repeat sees it and goes another way.
fn is_crossed(error: &DbError) -> bool {
    error.constraint().is_some() || error.is_busy() || matches!(error, DbError::Unavailable(_))
}

/// Hashes every password of a file beforehand, so that no transaction waits for it.
async fn hash_all(upload: &Upload, hasher: &Hasher) -> Result<Vec<SecretString>, ImportError> {
    let mut hashes = Vec::new();
    let mut chunks = Chunks::of(upload)?;
    loop {
        let (next, chunk) = blocking(move || {
            let chunk = chunks.advance()?;
            Ok((chunks, chunk))
        })
        .await?;
        chunks = next;
        let Some(chunk) = chunk else {
            return Ok(hashes);
        };
        for password in chunk.rows.into_iter().filter_map(|row| row.password) {
            hashes.push(hasher.hash(password).await?);
        }
    }
}

/// How a transaction over a whole file ends.
enum End {
    /// Nothing is kept, and that is as it should be.
    TakenBack(Report),
    Failed(ImportError),
}

impl<E: Into<ImportError>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// The whole file in one transaction, which is taken back for a dry run and after any fault.
async fn import_as_one(
    whole: Arc<(Upload, Options, Vec<SecretString>)>,
    tools: Tools,
    progress: Arc<AtomicUsize>,
) -> Result<Report, ImportError> {
    let db = tools.db.clone();
    let ended = db
        .transaction(move |connection| {
            let (upload, options, hashes) = &*whole;
            let mut hashes = hashes.iter();
            let mut all = Done::default();
            let mut changed: HashMap<Uuid, u32> = HashMap::new();
            let mut chunks = Chunks::of(upload)?;
            while let Some(chunk) = chunks.advance()? {
                let ready: Vec<Ready> = chunk
                    .rows
                    .into_iter()
                    .map(|mut row| {
                        let password = row.password.take();
                        Ready {
                            has_password: password.is_some(),
                            password_hash: password.and_then(|_| hashes.next().cloned()),
                            row,
                        }
                    })
                    .collect();
                let done = store(connection, &tools.clock, options, &ready, &changed)?;
                changed.extend(done.changed);
                all.created.extend(done.created);
                all.report.add(chunk.refused);
                all.report.add(done.report);
                all.report.errors.sort_by_key(|fault| fault.line);
                progress.fetch_add(chunk.read, Ordering::Relaxed);
            }
            if options.atomic && all.report.failed > 0 {
                let Report { failed, errors, .. } = all.report;
                return Err(End::TakenBack(Report {
                    failed,
                    errors,
                    ..Report::default()
                }));
            }
            if options.dry_run {
                return Err(End::TakenBack(all.report));
            }
            invite(connection, options, &tools.clock, &mut all)?;
            Ok(all.report)
        })
        .await;
    match ended {
        Ok(report) | Err(End::TakenBack(report)) => Ok(report),
        Err(End::Failed(error)) => Err(error),
    }
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
        clock,
        keys.signing(),
        &options.created_by,
        &selection,
        &Overrides::default(),
    )?;
    done.report.batch_ids.push(sent.batch_id);
    Ok(())
}
