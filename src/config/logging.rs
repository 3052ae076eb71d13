//! What is logged, and how it is written.

use clap::Args;

use super::errors::ConfigErrors;
use crate::telemetry::{self, LogFormat};

/// The variable with the filter of log lines.
pub const LOG: &str = "ENLIST_LOG";

/// How to log.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// What to log, as a filter: info, or warn,enlist=debug
    #[arg(long, env = LOG, default_value = "info")]
    pub log: String,
    /// How to write it
    #[arg(long, env = "ENLIST_LOG_FORMAT", default_value = "human")]
    pub log_format: LogFormat,
}

impl LogArgs {
    pub(super) fn check(&self, wrong: &mut ConfigErrors) {
        wrong.take(LOG, telemetry::filter(&self.log));
    }
}
