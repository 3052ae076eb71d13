//! How long each stage of sending may take.

use std::time::Duration;

/// How long each stage may take, and how long a connection is kept.
///
/// RFC 5321, section 4.5.3.2 recommends minutes for a mail server whose queue is its only
/// business. These defaults are shorter, because a worker waits with a lease on the message and a
/// queue with back-off stands behind it; they must not be so short that a slow acceptance becomes
/// a second copy.
#[derive(Clone, Debug)]
pub struct SmtpLimits {
    /// Name resolution and TCP connect, over all addresses of the host together. Default 10 s.
    pub connect: Duration,
    /// One command and its answer; the greeting with EHLO, a TLS handshake and the whole of AUTH
    /// count as one each. Default 30 s.
    pub command: Duration,
    /// Handing the message's content to the socket, final dot not included. Default 60 s.
    pub body: Duration,
    /// From the final dot to its answer, in which servers scan and store. Default 120 s.
    pub final_dot: Duration,
    /// How long an unused connection is kept: less than servers do. Default 30 s.
    pub idle: Duration,
    /// Messages tried on one connection before it is closed, so that load spreads over a relay's
    /// machines and per-connection limits are not met. Default 100.
    pub messages_per_connection: u32,
}

impl Default for SmtpLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            command: Duration::from_secs(30),
            body: Duration::from_secs(60),
            final_dot: Duration::from_secs(120),
            idle: Duration::from_secs(30),
            messages_per_connection: 100,
        }
    }
}
