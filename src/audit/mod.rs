//! The audit log: who did what, when and from where (docs/security.md).
//!
//! An event is written in the transaction of what it tells of, so neither is there without the other. A task links what
//! was committed into a chain of MACs under a key that is not in the database: whoever changes, leaves out or adds an
//! event there is found out by `enlist audit verify`.

pub mod chain;
pub mod domain;
pub mod forgetting;
pub mod http;
pub mod queries;

use std::net::IpAddr;

use diesel::PgConnection;

use crate::{clock::Clock, db::DbError};
use domain::{Actor, ActorKind, Event};

tokio::task_local! {
    static TRAIL: Trail;
}

/// Who does what is being done, and from where.
#[derive(Clone)]
pub struct Trail {
    pub actor: Actor,
    pub request_id: Option<String>,
    pub address: Option<IpAddr>,
    pub clock: Clock,
}

impl Trail {
    /// A command on the server.
    pub fn shell(clock: Clock) -> Self {
        Self::nobody(ActorKind::Shell, clock)
    }

    fn nobody(kind: ActorKind, clock: Clock) -> Self {
        Self {
            actor: Actor {
                kind,
                id: None,
                name: None,
            },
            request_id: None,
            address: None,
            clock,
        }
    }

    /// Answers a request on this trail.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        TRAIL.scope(self, work).await
    }

    /// That of the request which is being answered; outside of one, the service's own. Taken before the work goes to
    /// another thread.
    pub fn current() -> Self {
        TRAIL
            .try_with(Clone::clone)
            .unwrap_or_else(|_| Self::nobody(ActorKind::Service, Clock::system()))
    }

    /// Writes an event down, in the transaction of what it tells of.
    ///
    /// # Errors
    /// When the database or the operating system's randomness is away.
    pub fn record(&self, connection: &mut PgConnection, event: &Event) -> Result<(), DbError> {
        queries::insert(connection, self, event)
    }
}
