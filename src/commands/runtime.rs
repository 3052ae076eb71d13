//! What a command that runs for a while begins with: its log, and the threads that it waits on.

use std::{io, time::Duration};

use enlist::{
    config::{ConfigErrors, LOG, LogArgs, Names},
    telemetry,
};

/// Logs from here on, and first what is odd about the names of variables.
pub fn start_logging(logging: &LogArgs, names: &Names) -> Result<(), ConfigErrors> {
    telemetry::init(&logging.log, logging.log_format)
        .map_err(|problem| ConfigErrors::one(LOG, problem))?;
    for line in &names.unknown {
        tracing::warn!("{line}");
    }
    Ok(())
}

/// How long threads that still wait for something may take to end: some may wait for a database that says nothing.
const LEFT: Duration = Duration::from_secs(1);

/// Threads that wait at once, those included that were given up.
const BLOCKED: usize = 1_024;

/// Does the work, with one thread for each core.
///
/// # Errors
/// Where there are no threads to be had.
pub fn block_on<T>(work: impl Future<Output = T>) -> io::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(BLOCKED)
        .build()?;
    let done = runtime.block_on(work);
    runtime.shutdown_timeout(LEFT);
    Ok(done)
}
