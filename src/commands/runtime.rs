//! What a command that runs for a while begins with: its log, and the threads that it waits on.

use std::io;

use enlist::{
    config::{ConfigErrors, LOG, LogArgs},
    telemetry,
};
use tokio::runtime::Runtime;

/// Logs from here on.
pub fn start_logging(logging: &LogArgs) -> Result<(), ConfigErrors> {
    telemetry::init(&logging.log, logging.log_format)
        .map_err(|problem| ConfigErrors::one(LOG, problem))
}

/// One thread for each core.
pub fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}
