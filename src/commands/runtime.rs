//! What a command that runs for a while begins with: its log, and the threads that it waits on.

use std::io;

use enlist::{
    config::{ConfigErrors, LOG, LogArgs, Names},
    telemetry,
};
use tokio::runtime::Runtime;

/// Logs from here on, and first what is odd about the names of variables.
pub fn start_logging(logging: &LogArgs, names: &Names) -> Result<(), ConfigErrors> {
    telemetry::init(&logging.log, logging.log_format)
        .map_err(|problem| ConfigErrors::one(LOG, problem))?;
    for line in &names.unknown {
        tracing::warn!("{line}");
    }
    Ok(())
}

/// One thread for each core.
pub fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}
