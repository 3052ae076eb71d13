//! Structured logs on standard error: for people or as JSON lines.

use std::io::IsTerminal;

use tracing_subscriber::{
    EnvFilter, filter::Directive, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

use crate::config::LogFormat;

/// Starts logging. A second call in one process (tests) changes nothing.
///
/// # Errors
/// What is wrong with the filter.
pub fn init(filter: &str, format: LogFormat) -> Result<(), String> {
    let mut filter: EnvFilter = filter.parse().map_err(|error| {
        format!("is not a log filter: {error} (try info, or info,enlist=debug)")
    })?;
    // At debug, lettre prints AUTH exchanges and whole mails, which hold PINs.
    filter = filter.add_directive(quiet("lettre=info")?);
    // Its start and stop are told by our own lines.
    filter = filter.add_directive(quiet("actix_server=warn")?);
    let registry = tracing_subscriber::registry().with(filter);
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

fn quiet(directive: &str) -> Result<Directive, String> {
    directive
        .parse()
        .map_err(|error| format!("{directive}: {error}"))
}
