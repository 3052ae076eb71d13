//! Structured logs on standard error: for people or as JSON lines.

use std::{fmt, io::IsTerminal};

use clap::ValueEnum;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    EnvFilter, Layer,
    filter::{LevelFilter, filter_fn},
    fmt as layers,
    layer::{Context, SubscriberExt},
    util::SubscriberInitExt,
};

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

/// What the HTTP library says of a request that it cannot read. Anybody can send one: it is answered, and no error of the
/// service. At `trace` the library says it once more.
const UNREADABLE: &str = "stream error: request parse error: ";

/// Leaves out of the log what any stranger could fill it with.
struct Strangers;

impl<S: Subscriber> Layer<S> for Strangers {
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, S>) -> bool {
        struct Says<'a>(&'a str, bool);
        impl Visit for Says<'_> {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                self.1 |= field.name() == "message" && format!("{value:?}").starts_with(self.0);
            }
        }
        if !event.metadata().target().starts_with("actix_http::") {
            return true;
        }
        let mut says = Says(UNREADABLE, false);
        event.record(&mut says);
        !says.1
    }
}

/// What is logged, as somebody asks for it.
///
/// # Errors
/// What is wrong with it.
pub fn filter(text: &str) -> Result<EnvFilter, String> {
    let hint = "(try info, or info,enlist=debug)";
    // The library takes any other word for the name of what logs, of which everything is asked for: `warning`, `inof`.
    let wrong = text
        .split(',')
        // Spans, which are named in brackets, are left to the library.
        .filter(|word| !word.contains(['[', ']']))
        .filter_map(|word| word.rsplit('=').next())
        .find(|level| level.parse::<LevelFilter>().is_err());
    if let Some(level) = wrong {
        return Err(format!(
            "is not a log filter: `{level}` is none of off, error, warn, info, debug and trace {hint}"
        ));
    }
    text.parse()
        .map_err(|error| format!("is not a log filter: {error} {hint}"))
}

/// Starts logging. A second call in one process (tests) changes nothing.
///
/// # Errors
/// What is wrong with the filter.
pub fn init(filter: &str, format: LogFormat) -> Result<(), String> {
    let filter = self::filter(filter)?;
    // What actix_server has to say is told by our own lines.
    let quiet = filter_fn(|metadata| {
        !metadata.target().starts_with("actix_server") || *metadata.level() <= Level::WARN
    });
    let registry = tracing_subscriber::registry()
        .with(filter)
        .with(quiet)
        .with(Strangers);
    let started = match format {
        LogFormat::Human => registry
            .with(
                layers::layer()
                    .with_writer(std::io::stderr)
                    .with_ansi(is_colored())
                    .with_target(false),
            )
            .try_init(),
        LogFormat::Json => registry
            .with(
                layers::layer()
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

/// Whether lines have colors: on a terminal, unless somebody wants none (no-color.org).
fn is_colored() -> bool {
    let wants_none = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    std::io::stderr().is_terminal() && !wants_none
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_that_there_is_none_of_is_no_filter() {
        for good in [
            "info",
            "INFO",
            "off",
            "3",
            "",
            "warn,enlist=debug",
            "enlist::http=trace",
            "info,enlist[request{path}]=debug",
        ] {
            assert!(filter(good).is_ok(), "{good}");
        }
        for (bad, word) in [
            ("inof", "`inof`"),
            ("warning", "`warning`"),
            ("info,enlist", "`enlist`"),
            ("info,enlist=loud", "`loud`"),
            ("6", "`6`"),
        ] {
            let told = filter(bad).err().unwrap_or_default();
            assert!(told.contains(word), "{bad}: {told}");
            assert!(told.starts_with("is not a log filter: "), "{bad}: {told}");
        }
    }
}
