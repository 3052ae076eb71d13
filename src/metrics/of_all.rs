//! What is the same whichever instance is asked, since the database says it.

use prometheus::{Opts, Registry};

use super::families::{gauge, kept};

/// What is still to be sent, by whichever instance.
#[derive(Debug, Clone, PartialEq)]
pub struct Depth {
    /// How many messages have each of the states that are not final.
    pub by_state: [(&'static str, i64); 3],
    /// How many of them were queued more than an hour ago.
    pub late: i64,
    /// How long the message that is due longest has been due; 0 if none is.
    pub overdue_seconds: f64,
    /// How long ago the oldest one was queued; 0 if there is none.
    pub oldest_seconds: f64,
}

/// What the database says, of all instances.
#[derive(Debug)]
pub struct OfAll {
    pub queue: Depth,
    /// Delivery status reports by what came of them.
    pub bounces: Vec<(String, i64)>,
    /// Ends of the audit log's chain that it no longer has.
    pub lost_ends: i64,
}

/// What is the same whichever instance is asked. Made anew each time: what is not known now is left out.
pub(super) fn of_the_database(queue: Option<&OfAll>) -> Result<Registry, prometheus::Error> {
    let registry = Registry::new();
    gauge(
        &registry,
        "enlist_database_up",
        "Whether the database answered when this was asked for.",
    )?
    .set(queue.is_some().into());
    let Some(OfAll {
        queue,
        bounces,
        lost_ends,
    }) = queue
    else {
        return Ok(registry);
    };
    gauge(
        &registry,
        "enlist_audit_ends_lost",
        "Ends of the audit log's chain that were told, and that the chain no longer has.",
    )?
    .set(*lost_ends);
    let messages = prometheus::IntGaugeVec::new(
        Opts::new(
            "enlist_queue_messages",
            "Messages that are still to be sent, of all instances, by state.",
        ),
        &["state"],
    )?;
    for (state, count) in queue.by_state {
        messages.with_label_values(&[state]).set(count);
    }
    kept(&registry, messages)?;
    gauge(
        &registry,
        "enlist_queue_waiting_messages",
        "Messages that are still to be sent more than an hour after they were queued.",
    )?
    .set(queue.late);
    let overdue = prometheus::Gauge::new(
        "enlist_queue_oldest_due_seconds",
        "How long the message that is due longest has been due; 0 if none is.",
    )?;
    overdue.set(queue.overdue_seconds);
    kept(&registry, overdue)?;
    let oldest = prometheus::Gauge::new(
        "enlist_queue_oldest_seconds",
        "How long ago the oldest message that is still to be sent was queued; 0 if there is none.",
    )?;
    oldest.set(queue.oldest_seconds);
    kept(&registry, oldest)?;
    let reports = prometheus::IntCounterVec::new(
        Opts::new(
            "enlist_bounce_reports_total",
            "Delivery status reports that were taken, by all instances and from the shell, by what came of them.",
        ),
        &["outcome"],
    )?;
    for (outcome, count) in bounces {
        reports
            .with_label_values(&[outcome])
            .inc_by(u64::try_from(*count).unwrap_or(0));
    }
    kept(&registry, reports)?;
    Ok(registry)
}
