//! Who does what is being done: it goes with a request, and is written down with what comes of it.

use std::{net::IpAddr, sync::Arc};

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::{
    domain::{Action, Actor, ActorKind, Event, SubjectKind},
    erasing, heads,
    queries::{self, New},
};
use crate::{
    clock::Clock,
    db::DbError,
    schema::{audit_details, audit_events, audit_unlinked},
    secrets::keys::KeyRing,
};

tokio::task_local! {
    static TRAIL: Trail;
}

/// What an event tells of a key that is lost.
#[derive(Serialize, Deserialize)]
struct LostKey {
    lost_key: String,
}

/// Who does what is being done, and from where.
#[derive(Clone)]
pub struct Trail {
    pub actor: Actor,
    pub request_id: Option<String>,
    pub address: Option<IpAddr>,
    pub clock: Clock,
    /// Events are signed with the first of these.
    pub keys: Option<Arc<KeyRing>>,
}

impl Trail {
    /// A command on the server. Without keys its events are unsigned.
    pub fn shell(clock: Clock, keys: Option<Arc<KeyRing>>) -> Self {
        Self {
            actor: Actor {
                kind: ActorKind::Shell,
                id: None,
                name: None,
            },
            request_id: None,
            address: None,
            clock,
            keys,
        }
    }

    /// The same, without what the actor is called and the address.
    pub fn without_name(self) -> Self {
        Self {
            actor: Actor {
                name: None,
                ..self.actor
            },
            address: None,
            ..self
        }
    }

    /// Answers a request on this trail.
    pub async fn scope<F: Future>(self, work: F) -> F::Output {
        TRAIL.scope(self, work).await
    }

    /// That of the request which is being answered. Taken before the work goes to another thread.
    pub fn current() -> Option<Self> {
        TRAIL.try_with(Clone::clone).ok()
    }

    /// The keys of events that were signed before anybody served: whoever serves first needs these.
    ///
    /// # Errors
    /// When the database is away.
    pub fn keys_before_the_first_link(
        connection: &mut PgConnection,
    ) -> Result<Vec<String>, DbError> {
        if heads::last_key(connection)?.is_some() {
            return Ok(Vec::new());
        }
        let waiting = audit_unlinked::table.select(audit_unlinked::event_id);
        let keys: Vec<Option<String>> = audit_events::table
            .filter(audit_events::id.eq_any(waiting))
            .filter(audit_events::key_id.is_not_null())
            .select(audit_events::key_id)
            .distinct()
            .load(connection)?;
        let lost: Vec<Option<String>> = audit_events::table
            .inner_join(audit_details::table.on(audit_details::event_id.eq(audit_events::id)))
            .filter(audit_events::action.eq(Action::SecretKeyLost))
            .select(audit_details::after)
            .load(connection)?;
        let lost = lost
            .iter()
            .flatten()
            .filter_map(|told| serde_json::from_str(told).ok());
        let lost: Vec<LostKey> = lost.collect();
        let is_lost = |key: &String| lost.iter().any(|lost| lost.lost_key == *key);
        Ok(keys
            .into_iter()
            .flatten()
            .filter(|key| !is_lost(key))
            .collect())
    }

    /// Writes down that nobody has a key any more.
    ///
    /// # Errors
    /// As [`Trail::record`].
    pub fn key_lost(&self, connection: &mut PgConnection, key: &str) -> Result<(), DbError> {
        let event = Event::new(Action::SecretKeyLost, SubjectKind::AuditLog, None);
        let told = LostKey {
            lost_key: key.to_owned(),
        };
        self.record(connection, &event.after(&told))
    }

    /// Writes an event down, in the transaction of what it tells of.
    ///
    /// # Errors
    /// When the database or the operating system's randomness is away.
    pub fn record(&self, connection: &mut PgConnection, event: &Event) -> Result<(), DbError> {
        if self.actor.kind == ActorKind::Operator
            && self.actor.name.is_some()
            && !erasing::is_there(connection, self.actor.id)?
        {
            return self.clone().without_name().record(connection, event);
        }
        let new = New {
            id: self.clock.new_id(),
            at: self.clock.now(),
            actor: &self.actor,
            request_id: self.request_id.as_deref(),
            address: self.address,
            event,
            key: self.keys.as_deref().map(KeyRing::signing),
        };
        queries::insert(connection, &new)
    }
}
