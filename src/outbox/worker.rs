//! Delivery: claims what is due, makes each mail, hands it to the mail server and writes down how
//! that ended. No connection to the database is held while a mail is on its way.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::Instant,
};
use tracing::Instrument;

use super::{
    backoff::next_try,
    queries::{self, Claimed, Settled},
};
use crate::{
    clock::Clock,
    db::{Db, DbError},
    invitations::{
        domain::Method,
        letter::{Addressee, Secrets, Writer, valid_until},
    },
    mail::{
        catalogue::Lang,
        smtp::{Delivery, Failure, SmtpPool},
    },
    secrets::keys::KeyRing,
};

/// How long a claimed message is ours; renewed while we live, so that a killed instance's messages
/// are taken over within a minute.
const LEASE: Duration = Duration::from_secs(45);
const RENEW_EVERY: Duration = Duration::from_secs(15);
/// How often the queue is looked at when nobody says that there is something.
const POLL: Duration = Duration::from_secs(1);
/// A result is written within 250 ms (PRODUCT §7); this leaves time for the writing.
const SETTLE_WITHIN: Duration = Duration::from_millis(100);
const SETTLE_AT_ONCE: usize = 100;
/// Claimed ahead, for each connection: enough that none waits for the database.
const AHEAD: usize = 4;

/// Everything that delivery needs. Cheap to clone.
#[derive(Clone)]
pub struct Worker {
    pub db: Db,
    pub clock: Clock,
    pub keys: Arc<KeyRing>,
    pub writer: Arc<Writer>,
    pub smtp: Arc<SmtpPool>,
    /// SMTP connections of this instance.
    pub connections: usize,
    /// Rung when something was queued here.
    pub bell: Arc<Notify>,
}

impl Worker {
    /// Delivers until told to stop; then finishes what is on the wire, gives the rest back and
    /// writes the results.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut waiting: VecDeque<Claimed> = VecDeque::new();
        let mut on_the_wire: JoinSet<Settled> = JoinSet::new();
        let mut held: Vec<(uuid::Uuid, i32)> = Vec::new();
        let mut finished: Vec<Settled> = Vec::new();
        let mut look_at = Instant::now();
        let mut settle_at = Instant::now();
        let mut renew_at = Instant::now() + RENEW_EVERY;

        loop {
            let stopping = *stop.borrow();
            let now = Instant::now();
            if stopping && !waiting.is_empty() {
                let unsent: Vec<_> = waiting
                    .drain(..)
                    .map(|claimed| (claimed.id, claimed.attempts))
                    .collect();
                held.retain(|one| !unsent.contains(one));
                self.give_back(unsent).await;
            }
            if !stopping && now >= look_at && waiting.len() < self.connections {
                let wanted = self.connections * AHEAD;
                let claimed = self.claim(wanted).await;
                look_at = if claimed.len() == wanted {
                    now
                } else {
                    Instant::now() + POLL
                };
                held.extend(claimed.iter().map(|claimed| (claimed.id, claimed.attempts)));
                waiting.extend(claimed);
            }
            while on_the_wire.len() < self.connections {
                let Some(claimed) = waiting.pop_front() else {
                    break;
                };
                let worker = self.clone();
                on_the_wire.spawn(async move { worker.deliver(claimed).await });
            }
            let is_time =
                now >= settle_at || finished.len() >= SETTLE_AT_ONCE || on_the_wire.is_empty();
            if !finished.is_empty() && is_time {
                settle_at = now + SETTLE_WITHIN;
                if self.settle(finished.clone()).await {
                    held.retain(|(id, _)| !finished.iter().any(|settled| settled.id == *id));
                    finished.clear();
                } else {
                    // The results are kept; the database is asked again a little later.
                    settle_at = Instant::now() + POLL;
                }
            }
            if stopping && on_the_wire.is_empty() && finished.is_empty() {
                break;
            }
            if now >= renew_at {
                renew_at = now + RENEW_EVERY;
                self.renew(held.clone()).await;
            }

            let wake_at = if finished.is_empty() {
                look_at.min(renew_at)
            } else {
                settle_at.min(renew_at)
            };
            // With enough claimed, only a finished delivery is worth waking for.
            let wake_at = if waiting.len() >= self.connections {
                settle_at.max(now + SETTLE_WITHIN)
            } else {
                wake_at
            };
            tokio::select! {
                Some(result) = on_the_wire.join_next() => match result {
                    Ok(settled) => {
                        if finished.is_empty() {
                            settle_at = Instant::now() + SETTLE_WITHIN;
                        }
                        finished.push(settled);
                    }
                    // Its lease ends by itself and it is tried again.
                    Err(error) => tracing::error!(%error, "a delivery panicked"),
                },
                () = self.bell.notified() => look_at = Instant::now(),
                _ = stop.changed() => {}
                () = tokio::time::sleep_until(wake_at) => {}
            }
        }
        self.smtp.close().await;
    }

    /// One tick: everything that is due now is claimed, sent and settled. Gives how many that were.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn deliver_due(&self) -> Result<usize, DbError> {
        let lease_until = self.lease_until();
        let now = self.clock.now();
        let claimed = self
            .db
            .transaction(move |connection| queries::claim(connection, 1_000, now, lease_until))
            .await?;
        let count = claimed.len();
        let results: Vec<Settled> = stream::iter(claimed)
            .map(|claimed| self.deliver(claimed))
            .buffer_unordered(self.connections)
            .collect()
            .await;
        self.db
            .transaction(move |connection| queries::settle(connection, &results))
            .await?;
        Ok(count)
    }

    fn lease_until(&self) -> DateTime<Utc> {
        self.clock.now() + LEASE
    }

    async fn claim(&self, limit: usize) -> Vec<Claimed> {
        let (now, lease_until) = (self.clock.now(), self.lease_until());
        let claimed = self
            .db
            .transaction(move |connection| queries::claim(connection, limit, now, lease_until))
            .await;
        claimed.unwrap_or_else(|error: DbError| {
            tracing::warn!(%error, "the outbox cannot be read; trying again");
            Vec::new()
        })
    }

    async fn settle(&self, results: Vec<Settled>) -> bool {
        let written: Result<(), DbError> = self
            .db
            .transaction(move |connection| queries::settle(connection, &results))
            .await;
        if let Err(error) = &written {
            tracing::warn!(%error, "results of deliveries cannot be written; trying again");
        }
        written.is_ok()
    }

    async fn renew(&self, held: Vec<(uuid::Uuid, i32)>) {
        if held.is_empty() {
            return;
        }
        let lease_until = self.lease_until();
        let renewed: Result<(), DbError> = self
            .db
            .transaction(move |connection| queries::renew(connection, &held, lease_until))
            .await;
        if let Err(error) = renewed {
            tracing::warn!(%error, "leases cannot be renewed");
        }
    }

    async fn give_back(&self, unsent: Vec<(uuid::Uuid, i32)>) {
        let now = self.clock.now();
        let given: Result<(), DbError> = self
            .db
            .transaction(move |connection| queries::give_back(connection, &unsent, now))
            .await;
        if let Err(error) = given {
            tracing::warn!(%error, "unsent messages keep their lease until it ends");
        }
    }

    async fn deliver(&self, claimed: Claimed) -> Settled {
        let span = tracing::info_span!(
            "message", message_id = %claimed.id, invitation_id = %claimed.invitation_id, batch_id = %claimed.batch_id
        );
        self.try_once(claimed).instrument(span).await
    }

    async fn try_once(&self, claimed: Claimed) -> Settled {
        let now = self.clock.now();
        let ended = |state, reason: &str| Settled {
            id: claimed.id,
            attempts: claimed.attempts,
            invitation_id: claimed.invitation_id,
            state,
            due_at: now,
            smtp_code: None,
            enhanced_status: None,
            reason: Some(reason.to_owned()),
            handed_over_at: None,
        };
        if claimed.invitation_state != "pending" {
            return ended("suppressed", &claimed.invitation_state);
        }
        if claimed.expires_at <= now {
            return ended("failed", "expired");
        }
        let Some(to) = addressee(&claimed) else {
            return ended("failed", "no_email");
        };
        let worker = self.clone();
        let letter = claimed.clone();
        // A QR code takes 2 ms of a core to encode: not on an async thread.
        let mail = tokio::task::spawn_blocking(move || worker.write(&letter, &to, now)).await;
        let (envelope, bytes) = match mail {
            Ok(Ok(mail)) => mail,
            Ok(Err(reason)) => {
                tracing::error!(reason, "a message cannot be made");
                return ended("failed", &reason);
            }
            Err(error) => {
                tracing::error!(%error, "making a message panicked");
                return ended("failed", "the message could not be made; the log has more");
            }
        };
        match self.smtp.send(&envelope, &bytes).await {
            Delivery::Accepted(reply) => {
                tracing::debug!(code = reply.code, "accepted");
                Settled {
                    smtp_code: i16::try_from(reply.code).ok(),
                    enhanced_status: reply.enhanced_status,
                    handed_over_at: Some(self.clock.now()),
                    ..ended("accepted", &reply.text)
                }
            }
            Delivery::GiveUp(failure) => {
                tracing::warn!(
                    code = failure.code,
                    status = failure.enhanced_status,
                    "refused for good"
                );
                self.refused(ended("failed", &failure.reason), failure)
            }
            Delivery::Retry(failure) => {
                let at = next_try(
                    claimed.id,
                    u32::try_from(claimed.attempts).unwrap_or(1),
                    claimed.queued_at,
                    claimed.expires_at,
                    self.clock.now(),
                );
                tracing::warn!(code = failure.code, reason = failure.reason, again_at = ?at, "not accepted for now");
                let mut settled = ended(
                    if at.is_some() { "deferred" } else { "failed" },
                    &failure.reason,
                );
                settled.due_at = at.unwrap_or(now);
                self.refused(settled, failure)
            }
        }
    }

    fn refused(&self, settled: Settled, failure: Failure) -> Settled {
        Settled {
            smtp_code: failure.code.and_then(|code| i16::try_from(code).ok()),
            enhanced_status: failure.enhanced_status,
            handed_over_at: failure.handed_over.then(|| self.clock.now()),
            ..settled
        }
    }

    /// Derives the secrets and makes the mail.
    fn write(
        &self,
        claimed: &Claimed,
        to: &Addressee,
        now: DateTime<Utc>,
    ) -> Result<(lettre::address::Envelope, Vec<u8>), String> {
        let method = Method::from_name(&claimed.method).ok_or("unknown method")?;
        let key = self
            .keys
            .get(&claimed.key_id)
            .ok_or_else(|| format!("the secret key `{}` is not configured", claimed.key_id))?;
        let secrets = Secrets::derive(
            key,
            claimed.invitation_id,
            u32::try_from(claimed.counter).map_err(|_| "bad counter")?,
            u8::try_from(claimed.pin_length).map_err(|_| "bad PIN length")?,
        );
        let until = valid_until(
            method,
            claimed.pin_issued_at.unwrap_or(now),
            u8::try_from(claimed.pin_lifetime_days).map_err(|_| "bad PIN lifetime")?,
            claimed.expires_at,
        );
        let rendered = self
            .writer
            .invitation(to, method, &secrets, until, claimed.note.as_deref())
            .map_err(|error| error.to_string())?;
        let mail = self
            .writer
            .seal(to, claimed.id, now, &rendered)
            .map_err(|error| error.to_string())?;
        Ok((mail.envelope().clone(), mail.formatted()))
    }
}

/// Who a message is to, if the user is still there and has an address.
fn addressee(claimed: &Claimed) -> Option<Addressee> {
    Some(Addressee {
        display_name: claimed.display_name.clone()?,
        username: claimed.username.clone()?,
        email: claimed.email.clone()?,
        time_zone: claimed.time_zone.clone(),
        lang: Lang::negotiate(Some(&claimed.locale)),
    })
}
