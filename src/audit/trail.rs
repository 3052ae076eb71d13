//! Who does what is being done: it goes with a request, and is written down with what comes of it.

use std::net::IpAddr;

use diesel::PgConnection;

use super::{
    domain::{Actor, ActorKind, Event},
    queries::{self, New},
};
use crate::{clock::Clock, db::DbError};

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
        let new = New {
            id: self.clock.new_id(),
            at: self.clock.now(),
            actor: &self.actor,
            request_id: self.request_id.as_deref(),
            address: self.address,
            event,
        };
        queries::insert(connection, &new)
    }
}
