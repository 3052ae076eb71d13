//! Structured logs on standard error: for people or as JSON lines.

use std::io::IsTerminal;

use clap::ValueEnum;
use tracing::Level;
use tracing_subscriber::{
    EnvFilter, filter::filter_fn, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// Starts logging. A second call in one process (tests) changes nothing.
///
/// # Errors
/// What is wrong with the filter.
pub fn init(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter: EnvFilter = filter.parse().map_err(|error| {
        format!("is not a log filter: {error} (try info, or info,enlist=debug)")
    })?;
    // What actix_server has to say is told by our own lines.
    let quiet = filter_fn(|metadata| {
        !metadata.target().starts_with("actix_server") || *metadata.level() <= Level::WARN
    });
    let registry = tracing_subscriber::registry().with(filter).with(quiet);
    let started = match format {
        LogFormat::Human => registry
            .with(
                fmt::layer()
                    .with_writer(std::io::stderr)
                    .with_ansi(std::io::stderr().is_terminal())
                    .with_target(false),
            )
            .try_init(),
        LogFormat::Json => registry
            .with(
                fmt::layer()
                    .json()
                    .flatten_event(true)
                    .with_current_span(true)
                    .with_span_list(false)
                    .with_writer(std::io::stderr),
            )
            .try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was started before");
    }
    Ok(())
}
