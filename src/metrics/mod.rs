//! What this process counts and measures of itself, for `GET /metrics`: in the text format of Prometheus 0.0.4.
//!
//! To count is to add to an atomic number behind a lookup by labels, some hundred nanoseconds; everything else is done
//! when somebody asks. No label holds what a client chose: its values are few, whatever is sent.

mod families;
mod of_all;

use std::time::Duration;

use chrono::TimeDelta;
use prometheus::{
    Encoder, Gauge, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, TextEncoder,
};

pub use self::of_all::{Depth, OfAll};
use self::{
    families::{counters, gauge, histograms, kept},
    of_all::of_the_database,
};

/// The media type of the text (Prometheus exposition format 0.0.4).
pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Upper bounds in seconds. Most requests take a few milliseconds; the longest are imports.
const HTTP_SECONDS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];
/// The same for a mail: from a relay beside us to the longest time limit of a stage.
const SMTP_SECONDS: [f64; 14] = [
    0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0, 60.0, 300.0,
];

/// The states of a message after a try.
const TRIED: [&str; 4] = ["accepted", "deferred", "failed", "suppressed"];
/// Whom a refusal can be about.
const REFUSED: [&str; 7] = [
    "recipient",
    "message",
    "sender",
    "pace",
    "unsure",
    "connection",
    "away",
];
/// The methods that have a word of their own.
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

/// The word for a method in a label and in the log. A client's own, of any length, is `other`.
pub fn known_method(method: &str) -> &'static str {
    let known = METHODS.into_iter().find(|known| *known == method);
    known.unwrap_or("other")
}

/// How handing a message to the mail server ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Handed {
    Accepted,
    /// Not for now.
    Deferred,
    Refused,
}

impl Handed {
    const ALL: [Self; 3] = [Self::Accepted, Self::Deferred, Self::Refused];

    fn as_str(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Deferred => "deferred",
            Self::Refused => "refused",
        }
    }
}

/// How the connections to the database are used at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// In use.
    pub busy: usize,
    /// Open, in use or not.
    pub open: u32,
    /// As many as may be in use at once.
    pub most: usize,
    /// Given up, and still without a word from the database.
    pub given_up: usize,
}

/// Everything that is counted. One for a process; there is no global one.
pub struct Metrics {
    registry: Registry,
    http: HistogramVec,
    tries: IntCounterVec,
    refusals: IntCounterVec,
    smtp: HistogramVec,
    on_the_wire: IntGauge,
    places: IntGauge,
    is_left_alone: IntGauge,
    enrollments: IntCounterVec,
    sign_in_pauses: IntCounter,
    is_end_untold: IntGauge,
    busy: IntGauge,
    open: IntGauge,
    most: IntGauge,
    given_up: IntGauge,
    clock_behind: Gauge,
}

impl Metrics {
    /// With nothing counted yet.
    ///
    /// # Errors
    /// Never in practice: when a name is not one or is there twice.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let build = Opts::new("enlist_build_info", "Always 1; the version that runs.")
            .const_label("version", env!("CARGO_PKG_VERSION"));
        kept(&registry, IntGauge::with_opts(build)?)?.set(1);
        #[cfg(target_os = "linux")]
        registry.register(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ))?;
        let metrics = Self {
            http: histograms(
                &registry,
                "enlist_http_request_duration_seconds",
                "Time until a request was answered (of a stream: until it began), by the route's pattern, method and status.",
                &HTTP_SECONDS,
                &["route", "method", "status"],
            )?,
            tries: counters(
                &registry,
                "enlist_mail_attempts_total",
                "Tries to deliver a message, by the message's state after it.",
                "outcome",
            )?,
            refusals: counters(
                &registry,
                "enlist_mail_refusals_total",
                "Messages that the mail server did not take, by whom that was about: recipient, message, sender (or the mail \
                 server as such), pace, unsure (recipient or pace), connection, away.",
                "about",
            )?,
            smtp: histograms(
                &registry,
                "enlist_smtp_send_duration_seconds",
                "Time to hand one message to the mail server, a place on a connection included, by how it ended.",
                &SMTP_SECONDS,
                &["outcome"],
            )?,
            on_the_wire: gauge(
                &registry,
                "enlist_mail_in_flight",
                "Messages that are being delivered now.",
            )?,
            places: gauge(
                &registry,
                "enlist_mail_concurrency_limit",
                "Messages that may be delivered at once: fewer where the mail server asked for it.",
            )?,
            is_left_alone: gauge(
                &registry,
                "enlist_mail_breaker_open",
                "1 from when the mail server is left alone, because it is away or refuses all that is sent, until it takes a message.",
            )?,
            enrollments: counters(
                &registry,
                "enlist_enrollments_total",
                "Tries to enroll a device: enrolled, repeated, or the code of the refusal.",
                "outcome",
            )?,
            sign_in_pauses: kept(
                &registry,
                IntCounter::new(
                    "enlist_sign_in_pauses_total",
                    "Pauses that wrong passwords at signing in have begun, whether or not an operator has the address.",
                )?,
            )?,
            is_end_untold: gauge(
                &registry,
                "enlist_audit_end_untold",
                "1 from when the end of the audit log's chain cannot be told, to the database or to the file, until it can.",
            )?,
            busy: gauge(
                &registry,
                "enlist_db_connections_busy",
                "Connections to the database that are in use now.",
            )?,
            open: gauge(
                &registry,
                "enlist_db_connections_open",
                "Connections to the database that are open, in use or not.",
            )?,
            most: gauge(
                &registry,
                "enlist_db_connections_busy_limit",
                "Connections that may be in use at once; whoever needs one more waits.",
            )?,
            given_up: gauge(
                &registry,
                "enlist_db_connections_given_up",
                "Connections that were given up, since the database said nothing, and that still wait.",
            )?,
            clock_behind: kept(
                &registry,
                Gauge::new(
                    "enlist_clock_behind_seconds",
                    "How far this machine's clock is behind the database's, which counts; negative: ahead of it.",
                )?,
            )?,
            registry,
        };
        // A rate can be taken of the first one, too, if it was 0 before.
        for outcome in TRIED {
            metrics.tries.with_label_values(&[outcome]);
        }
        for about in REFUSED {
            metrics.refusals.with_label_values(&[about]);
        }
        for handed in Handed::ALL {
            metrics.smtp.with_label_values(&[handed.as_str()]);
        }
        for outcome in ["enrolled", "repeated", "invalid_credentials"] {
            metrics.enrollments.with_label_values(&[outcome]);
        }
        Ok(metrics)
    }

    /// A request was answered. `route` is a pattern; where there is none, no route answers the path.
    pub fn answered(&self, route: Option<&str>, method: &str, status: &str, took: Duration) {
        let labels = [route.unwrap_or("none"), known_method(method), status];
        self.http
            .with_label_values(&labels)
            .observe(took.as_secs_f64());
    }

    /// A message has this state after a try.
    pub fn tried(&self, state: &'static str) {
        self.tries.with_label_values(&[state]).inc();
    }

    /// The mail server did not take a message, about: `recipient`, `sender` …
    pub fn refused(&self, about: &'static str) {
        self.refusals.with_label_values(&[about]).inc();
    }

    /// The mail server was asked to take a message.
    pub fn handed(&self, how: Handed, took: Duration) {
        self.smtp
            .with_label_values(&[how.as_str()])
            .observe(took.as_secs_f64());
    }

    /// How delivery goes: messages on the wire, how many there may be, and whether the mail server is left alone.
    pub fn delivering(&self, on_the_wire: usize, places: usize, is_left_alone: bool) {
        self.on_the_wire.set(number(on_the_wire));
        self.places.set(number(places));
        self.is_left_alone.set(is_left_alone.into());
    }

    /// A device was enrolled, or not: `enrolled`, `repeated` or the refusal's code.
    pub fn enrolled(&self, outcome: &'static str) {
        self.enrollments.with_label_values(&[outcome]).inc();
    }

    /// Wrong passwords of an operator, or of nobody, have begun a pause.
    pub fn sign_in_paused(&self) {
        self.sign_in_pauses.inc();
    }

    /// Telling the end of the audit log's chain ended so, which is handed on.
    pub fn audit_end_told<T, E>(&self, told: Result<T, E>) -> Result<T, E> {
        self.is_end_untold.set(told.is_err().into());
        told
    }

    /// This machine's clock is so far behind the database's.
    pub fn clock_behind(&self, by: TimeDelta) {
        self.clock_behind
            .set(by.num_milliseconds() as f64 / 1_000.0);
    }

    /// Everything as text: what this process counted, how its pool is used, and what the database says of the queue,
    /// if it can be asked.
    ///
    /// # Errors
    /// Never in practice.
    pub fn text(&self, pool: Usage, queue: Option<&OfAll>) -> Result<String, prometheus::Error> {
        self.busy.set(number(pool.busy));
        self.open.set(i64::from(pool.open));
        self.most.set(number(pool.most));
        self.given_up.set(number(pool.given_up));
        let mut families = self.registry.gather();
        families.extend(of_the_database(queue)?.gather());
        let mut text = Vec::new();
        TextEncoder::new().encode(&families, &mut text)?;
        String::from_utf8(text).map_err(|error| prometheus::Error::Msg(error.to_string()))
    }
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_label_holds_what_a_client_chose() {
        let metrics = Metrics::new().unwrap();
        metrics.answered(None, "PROPFIND", "404", Duration::from_millis(3));
        let text = metrics.text(Usage::default(), None).unwrap();
        let line = r#"enlist_http_request_duration_seconds_count{method="other",route="none",status="404"} 1"#;
        assert!(text.lines().any(|found| found == line), "{text}");
        assert!(!text.contains("PROPFIND"));
    }
}
