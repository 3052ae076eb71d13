//! An import of all records or none, in one transaction.

use std::{collections::HashMap, sync::Arc};

use secrecy::SecretString;
use uuid::Uuid;

use super::{
    error::ImportError,
    event::record,
    file::{Chunks, Upload},
    invite::invite,
    options::{Options, Tools},
    progress::Progress,
    report::Report,
    shape::Shape,
    store::{Done, Lost, Prepared, Ready, store},
    tries::{PAUSE, TRIES, is_crossed},
};
use crate::db::DbError;

/// What every try needs.
struct Whole {
    upload: Upload,
    shape: Shape,
    options: Arc<Options>,
    /// Made beforehand, so that no transaction waits for them.
    hashes: Vec<SecretString>,
    tools: Tools,
    progress: Arc<Progress>,
}

pub(super) async fn import(
    upload: Upload,
    shape: Shape,
    options: Arc<Options>,
    tools: Tools,
    progress: Arc<Progress>,
) -> Result<Report, ImportError> {
    let hashes = if shape.has_passwords {
        hash_all(&upload, &tools, &progress).await?
    } else {
        Vec::new()
    };
    let whole = Arc::new(Whole {
        upload,
        shape,
        options,
        hashes,
        tools,
        progress,
    });
    let mut tries_left = TRIES;
    loop {
        whole.progress.begin_anew();
        let lost = match tries_left {
            0 => Lost::Report,
            _ => Lost::Repeat,
        };
        match try_once(Arc::clone(&whole), lost).await {
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
}

async fn hash_all(
    upload: &Upload,
    tools: &Tools,
    progress: &Progress,
) -> Result<Vec<SecretString>, ImportError> {
    let mut hashes = Vec::new();
    let mut chunks = Chunks::of(upload)?;
    loop {
        let (next, chunk) = chunks.advanced().await?;
        chunks = next;
        let Some(chunk) = chunk else {
            return Ok(hashes);
        };
        for password in chunk.rows.into_iter().filter_map(|row| row.password) {
            progress.check()?;
            hashes.push(tools.hasher.hash(password.into_secret()).await?);
        }
    }
}

/// How the transaction ends.
enum End {
    /// Nothing is kept, since something is wrong with the file.
    TakenBack(Box<Report>),
    Failed(ImportError),
}

impl<E: Into<ImportError>> From<E> for End {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

/// The whole file in one transaction, which is taken back after any fault.
async fn try_once(whole: Arc<Whole>, lost: Lost) -> Result<Report, ImportError> {
    let (db, clock) = (whole.tools.db.clone(), whole.options.trail.clock.clone());
    let (lease, now) = (whole.options.lease.clone(), clock.now());
    let ended = db
        .transaction(move |connection| {
            let mut hashes = whole.hashes.iter();
            let mut all = Done {
                report: Report::of(&whole.shape),
                ..Done::default()
            };
            let mut changed: HashMap<Uuid, u32> = HashMap::new();
            let mut chunks = Chunks::of(&whole.upload)?;
            while let Some(chunk) = chunks.advance()? {
                whole.progress.check()?;
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
                let prepared = Prepared {
                    ready,
                    names: chunk.names,
                    refused: chunk.refused,
                };
                let done = store(
                    connection,
                    &clock,
                    &whole.options,
                    &prepared,
                    &changed,
                    lost,
                )?;
                changed.extend(done.changed);
                all.created.extend(done.created);
                all.report.add(done.report);
                whole.progress.add(chunk.read);
            }
            if all.report.failed > 0 {
                return Err(End::TakenBack(Box::new(all.report.of_refusal())));
            }
            let created = std::mem::take(&mut all.created);
            all.report.add(invite(connection, &whole.options, created)?);
            record(connection, &whole.options, &all.report)?;
            if let Some(lease) = &whole.options.lease {
                lease.settle(connection, &all.report.answer()?, clock.now())?;
            }
            Ok(all.report)
        })
        .await;
    match ended {
        Ok(report) => Ok(report),
        Err(End::TakenBack(report)) => {
            // Nothing was stored, but this is what a repeat is answered with too.
            if let Some(lease) = lease {
                let answer = report.answer()?;
                db.transaction(move |connection| {
                    Ok::<_, ImportError>(lease.settle(connection, &answer, now)?)
                })
                .await?;
            }
            Ok(*report)
        }
        Err(End::Failed(error)) => Err(error),
    }
}
