//! An import whose records are stored as far as they are good, each chunk in a transaction of its own.

use std::{collections::HashMap, sync::Arc};

use uuid::Uuid;

use super::{
    error::ImportError,
    event::record,
    file::{Chunk, Chunks, Upload},
    invite::invite,
    options::{Options, Tools},
    progress::Progress,
    report::Report,
    shape::Shape,
    store::{Lost, Prepared, Ready, store},
    tries::{PAUSE, TRIES, is_crossed},
};

pub(super) async fn import(
    upload: &Upload,
    shape: Shape,
    options: &Arc<Options>,
    tools: &Tools,
    progress: &Progress,
) -> Result<Report, ImportError> {
    let mut report = Report::of(&shape);
    let mut changed: HashMap<Uuid, u32> = HashMap::new();
    let mut rows_left = shape.rows;
    let (mut chunks, mut ahead) = Chunks::of(upload)?.advanced().await?;
    while let Some(chunk) = ahead {
        let read = chunk.read;
        rows_left = rows_left.saturating_sub(read);
        let so_far = (rows_left == 0).then_some(&report);
        // The next one is read while this one is stored.
        let (stored, next) = tokio::join!(
            import_chunk(chunk, options, tools, progress, changed, so_far),
            chunks.advanced()
        );
        match stored {
            Ok((done, known)) => {
                changed = known;
                report.add(done);
                progress.add(read);
            }
            Err(cause) if report.created + report.updated == 0 => return Err(cause),
            Err(cause) => {
                return Err(ImportError::Partly {
                    report: Box::new(report),
                    cause: Box::new(cause),
                });
            }
        }
        (chunks, ahead) = next?;
    }
    if shape.rows == 0 {
        settle(options, tools, &report).await?;
    }
    Ok(report)
}

/// Answers for a file without a record.
async fn settle(options: &Arc<Options>, tools: &Tools, report: &Report) -> Result<(), ImportError> {
    let (options, clock) = (Arc::clone(options), options.trail.clock.clone());
    let answer = report.answer()?;
    tools
        .db
        .transaction(move |connection| match &options.lease {
            Some(lease) => Ok(lease.settle(connection, &answer, clock.now())?),
            None => Ok(()),
        })
        .await
}

/// One chunk, tried again when it was crossed or the database was away for a moment. `changed` are the
/// users that the file had before; they come back with those of this chunk. `so_far` is what was reported
/// before the last one.
async fn import_chunk(
    chunk: Chunk,
    options: &Arc<Options>,
    tools: &Tools,
    progress: &Progress,
    mut changed: HashMap<Uuid, u32>,
    so_far: Option<&Report>,
) -> Result<(Report, HashMap<Uuid, u32>), ImportError> {
    let mut ready = Vec::with_capacity(chunk.rows.len());
    progress.check()?;
    for mut row in chunk.rows {
        let has_password = row.password.is_some();
        let password_hash = match row.password.take() {
            Some(password) => {
                progress.check()?;
                Some(tools.hasher.hash(password.into_secret()).await?)
            }
            None => None,
        };
        ready.push(Ready {
            row,
            has_password,
            password_hash,
        });
    }
    let prepared = Arc::new(Prepared {
        ready,
        names: chunk.names,
        refused: chunk.refused,
    });
    let known = Arc::new(changed);
    let mut tries_left = TRIES;
    let done = loop {
        let (prepared, known, options, clock, so_far) = (
            Arc::clone(&prepared),
            Arc::clone(&known),
            Arc::clone(options),
            options.trail.clock.clone(),
            so_far.cloned(),
        );
        let lost = match tries_left {
            0 => Lost::Report,
            _ => Lost::Repeat,
        };
        let stored = tools
            .db
            .transaction(move |connection| {
                let mut done = store(connection, &clock, &options, &prepared, &known, lost)?;
                let created = std::mem::take(&mut done.created);
                done.report.add(invite(connection, &options, created)?);
                // Last, so that the key is not locked for longer than a commit takes.
                let whole = so_far.map(|mut whole| {
                    whole.add(done.report.clone());
                    whole
                });
                record(connection, &options, &done.report)?;
                match (&options.lease, whole) {
                    (Some(lease), Some(whole)) => {
                        lease.settle(connection, &whole.answer()?, clock.now())?;
                    }
                    (Some(lease), None) => lease.renew(connection, clock.now())?,
                    (None, _) => {}
                }
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
    Ok((done.report, changed))
}
