//! Delivery: claims what is due, makes each mail, hands it to the mail server and writes down how
//! that ended. No connection to the database is held while a mail is on its way.

use std::{
    collections::{HashMap, VecDeque},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::{FutureExt, StreamExt, stream};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::Instant,
};
use tracing::Instrument;
use uuid::Uuid;

use super::{
    backoff::next_try,
    queries::{self, About, Claimed, Enrolled, Invited, Settled},
};
use crate::{
    clock::Clock,
    db::{Db, DbError},
    devices::domain::Platform,
    enrollments::payload::QrPayload,
    invitations::{
        domain::{Method, Ownership},
        letter::{Addressee, Secrets, Writer, valid_until},
    },
    mail::{
        catalogue::Lang,
        message::Rendered,
        smtp::{Delivery, Failure, SmtpPool},
    },
    secrets::keys::KeyRing,
    settings::cache::Registrations,
};

/// How long a claimed message is ours; renewed while we live, so that a killed instance's messages
/// are taken over within a minute.
const LEASE: Duration = Duration::from_secs(45);
const RENEW_EVERY: Duration = Duration::from_secs(15);
/// How often the queue is looked at when nobody says that there is something.
const POLL: Duration = Duration::from_secs(1);
/// How old the knowledge may be that a message is ours and its invitation pending.
const BELIEVED_FOR: Duration = Duration::from_secs(1);
/// How long stopping may take: longer than most mail servers, shorter than most supervisors' patience.
const STOP_WITHIN: Duration = Duration::from_secs(30);
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
    pub registrations: Registrations,
    /// SMTP connections of this instance.
    pub connections: usize,
    /// Rung when something was queued here.
    pub bell: Arc<Notify>,
}

/// What the running loop holds.
struct Round {
    /// Claimed and not yet tried.
    waiting: VecDeque<Claimed>,
    /// When it was last seen that those are ours and their invitations pending.
    seen_at: Instant,
    on_the_wire: JoinSet<Settled>,
    /// Tried, or being tried, and not yet written down: id and attempts.
    unsettled: HashMap<Uuid, i32>,
    finished: Vec<Settled>,
    look_at: Instant,
    settle_at: Instant,
    renew_at: Instant,
    /// When stopping ends at the latest.
    stop_by: Option<Instant>,
}

impl Round {
    fn held(&self) -> Vec<(Uuid, i32)> {
        let waiting = self
            .waiting
            .iter()
            .map(|claimed| (claimed.id, claimed.attempts));
        waiting
            .chain(self.unsettled.iter().map(|(id, attempts)| (*id, *attempts)))
            .collect()
    }

    /// When there is something to do even if nothing happens before.
    fn wake_at(&self, connections: usize) -> Instant {
        let mut at = self.renew_at;
        if self.stop_by.is_none() && self.waiting.len() < connections {
            at = at.min(self.look_at);
        }
        if !self.finished.is_empty() {
            at = at.min(self.settle_at);
        }
        self.stop_by.map_or(at, |stop_by| at.min(stop_by))
    }
}

impl Worker {
    /// Delivers until told to stop; then finishes what is on the wire, gives the rest back and
    /// writes the results.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let now = Instant::now();
        let mut round = Round {
            waiting: VecDeque::new(),
            seen_at: now,
            on_the_wire: JoinSet::new(),
            unsettled: HashMap::new(),
            finished: Vec::new(),
            look_at: now,
            settle_at: now,
            renew_at: now + RENEW_EVERY,
            stop_by: None,
        };
        loop {
            if *stop.borrow() {
                if round.stop_by.is_none() {
                    round.stop_by = Some(Instant::now() + STOP_WITHIN);
                    let unsent = round.waiting.drain(..);
                    self.give_back(
                        unsent
                            .map(|claimed| (claimed.id, claimed.attempts))
                            .collect(),
                    )
                    .await;
                }
                if round.on_the_wire.is_empty() && round.finished.is_empty() {
                    break;
                }
                if round
                    .stop_by
                    .is_some_and(|stop_by| stop_by <= Instant::now())
                {
                    tracing::warn!(
                        unsettled = round.unsettled.len(),
                        "stopping without all results; those messages are tried again when their leases end"
                    );
                    break;
                }
            } else {
                self.fill(&mut round).await;
            }
            self.write_down(&mut round).await;
            if Instant::now() >= round.renew_at {
                self.renew(&mut round).await;
            }
            let wake_at = round.wake_at(self.connections);
            tokio::select! {
                Some(result) = round.on_the_wire.join_next() => match result {
                    Ok(settled) => {
                        if round.finished.is_empty() {
                            round.settle_at = Instant::now() + SETTLE_WITHIN;
                        }
                        round.finished.push(settled);
                    }
                    Err(error) => tracing::error!(%error, "a delivery was lost"),
                },
                () = self.bell.notified() => round.look_at = Instant::now(),
                // Without a sender nobody can say stop any more.
                changed = stop.changed(), if round.stop_by.is_none() => if changed.is_err() { break },
                () = tokio::time::sleep_until(wake_at) => {}
            }
        }
        self.smtp.close().await;
    }

    /// Claims what is due and starts as many deliveries as there are connections.
    async fn fill(&self, round: &mut Round) {
        if Instant::now() >= round.look_at && round.waiting.len() < self.connections {
            if round.waiting.is_empty() {
                round.seen_at = Instant::now();
            }
            let wanted = self.connections * AHEAD;
            let claimed = self.claim(wanted).await;
            if claimed.len() < wanted {
                round.look_at = Instant::now() + POLL;
            }
            round.waiting.extend(claimed);
        }
        let has_place = round.on_the_wire.len() < self.connections;
        if has_place && !round.waiting.is_empty() && round.seen_at.elapsed() > BELIEVED_FOR {
            self.renew(round).await;
        }
        while round.on_the_wire.len() < self.connections && round.seen_at.elapsed() <= BELIEVED_FOR
        {
            let Some(claimed) = round.waiting.pop_front() else {
                break;
            };
            round.unsettled.insert(claimed.id, claimed.attempts);
            let worker = self.clone();
            round
                .on_the_wire
                .spawn(async move { worker.deliver(claimed).await });
        }
    }

    /// Writes results when there are many, when it is time, or when nothing else is going on.
    async fn write_down(&self, round: &mut Round) {
        let is_time = Instant::now() >= round.settle_at
            || round.finished.len() >= SETTLE_AT_ONCE
            || round.on_the_wire.is_empty();
        if round.finished.is_empty() || !is_time {
            return;
        }
        if self.settle(round.finished.clone()).await {
            for settled in round.finished.drain(..) {
                round.unsettled.remove(&settled.id);
            }
        } else {
            // The results are kept; the database is asked again a little later.
            round.settle_at = Instant::now() + POLL;
        }
    }

    /// One tick: everything that is due now is claimed, sent and settled. Gives how many that were.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn deliver_due(&self) -> Result<usize, DbError> {
        let lease_until = self.lease_until();
        let now = self.clock.now();
        let registrations = self.registrations.clone();
        let claimed = self
            .db
            .transaction(move |connection| {
                queries::claim(connection, 1_000, now, lease_until, &registrations)
            })
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
        let registrations = self.registrations.clone();
        let claimed = self
            .db
            .transaction(move |connection| {
                queries::claim(connection, limit, now, lease_until, &registrations)
            })
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

    /// Renews the leases and looks again: what is no longer ours is dropped, and what has ended
    /// meanwhile will not be sent.
    async fn renew(&self, round: &mut Round) {
        let held = round.held();
        if held.is_empty() {
            round.renew_at = Instant::now() + RENEW_EVERY;
            return;
        }
        let (asked_at, lease_until) = (Instant::now(), self.lease_until());
        let renewed: Result<HashMap<Uuid, Option<String>>, DbError> = self
            .db
            .transaction(move |connection| queries::renew(connection, &held, lease_until))
            .await;
        match renewed {
            Ok(mut kept) => {
                round.waiting.retain_mut(|claimed| {
                    let Some(state) = kept.remove(&claimed.id) else {
                        return false;
                    };
                    if let (About::Invitation(invited), Some(state)) = (&mut claimed.about, state) {
                        invited.state = state;
                    }
                    true
                });
                round.seen_at = asked_at;
                round.renew_at = asked_at + RENEW_EVERY;
            }
            Err(error) => {
                tracing::warn!(%error, "leases cannot be renewed; nothing new is sent meanwhile");
                round.renew_at = Instant::now() + POLL;
            }
        }
    }

    async fn give_back(&self, unsent: Vec<(Uuid, i32)>) {
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
        let span = match &claimed.about {
            About::Invitation(invited) => tracing::info_span!(
                "message", message_id = %claimed.id, invitation_id = %invited.invitation_id
            ),
            About::Enrollment(enrolled) => tracing::info_span!(
                "message", message_id = %claimed.id, enrollment_id = %enrolled.enrollment_id
            ),
        };
        let (id, attempts) = (claimed.id, claimed.attempts);
        let now = self.clock.now();
        let again_at = next_try(
            id,
            tries(attempts),
            claimed.queued_at,
            good_until(&claimed),
            now,
        );
        AssertUnwindSafe(self.try_once(claimed))
            .catch_unwind()
            .instrument(span.clone())
            .await
            .unwrap_or_else(|_| {
                span.in_scope(|| tracing::error!("a delivery panicked"));
                Settled {
                    id,
                    attempts,
                    state: if again_at.is_some() {
                        "deferred"
                    } else {
                        "failed"
                    },
                    due_at: again_at.unwrap_or(now),
                    smtp_code: None,
                    enhanced_status: None,
                    reason: Some("a fault of ours; the log has more".to_owned()),
                    handed_over_at: None,
                }
            })
    }

    async fn try_once(&self, claimed: Claimed) -> Settled {
        let now = self.clock.now();
        let ended = |state, reason: &str| Settled {
            id: claimed.id,
            attempts: claimed.attempts,
            state,
            due_at: now,
            smtp_code: None,
            enhanced_status: None,
            reason: Some(reason.to_owned()),
            handed_over_at: None,
        };
        if let About::Invitation(invited) = &claimed.about {
            if invited.state != "pending" {
                return ended("suppressed", &invited.state);
            }
            if invited.expires_at <= now {
                return ended("failed", "expired");
            }
            // A newer instance wrote the setting, and can read what the QR code is to say.
            if invited.method == Method::Qr.as_str() && invited.registration.is_none() {
                let again_at = next_try(
                    claimed.id,
                    tries(claimed.attempts),
                    claimed.queued_at,
                    invited.expires_at,
                    now,
                );
                let state = if again_at.is_some() {
                    "deferred"
                } else {
                    "failed"
                };
                return Settled {
                    due_at: again_at.unwrap_or(now),
                    ..ended(state, "the registration setting cannot be read")
                };
            }
        }
        let Some(to) = addressee(&claimed) else {
            return ended("failed", "no_email");
        };
        let worker = self.clone();
        let letter = claimed.clone();
        // A QR code takes 2 ms of a core to encode: not on an async thread.
        let mail = tokio::task::spawn_blocking(move || worker.write(&letter, &to, now)).await;
        let (envelope, bytes, secrets) = match mail {
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
                    ..ended("accepted", &hidden(secrets.as_ref(), &reply.text))
                }
            }
            Delivery::GiveUp(failure) => {
                tracing::warn!(
                    code = failure.code,
                    status = failure.enhanced_status,
                    "refused for good"
                );
                self.refused(
                    ended("failed", &hidden(secrets.as_ref(), &failure.reason)),
                    failure,
                )
            }
            Delivery::Retry(failure) => {
                let at = next_try(
                    claimed.id,
                    tries(claimed.attempts),
                    claimed.queued_at,
                    good_until(&claimed),
                    self.clock.now(),
                );
                // A server's words may hold the address; ours, when no server spoke, do not.
                let reason = failure.code.is_none().then_some(failure.reason.as_str());
                tracing::warn!(
                    code = failure.code,
                    status = failure.enhanced_status,
                    reason,
                    again_at = at.map(|at| at.to_rfc3339()),
                    "not accepted for now"
                );
                let mut settled = ended(
                    if at.is_some() { "deferred" } else { "failed" },
                    &hidden(secrets.as_ref(), &failure.reason),
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

    /// Makes the mail, and derives the secrets in it, if it has any.
    fn write(
        &self,
        claimed: &Claimed,
        to: &Addressee,
        now: DateTime<Utc>,
    ) -> Result<(lettre::address::Envelope, Vec<u8>, Option<Secrets>), String> {
        let (rendered, secrets) = match &claimed.about {
            About::Invitation(invited) => {
                let (rendered, secrets) = self.invitation(invited, to, now)?;
                (rendered, Some(secrets))
            }
            About::Enrollment(enrolled) => (self.confirmation(enrolled, to)?, None),
        };
        let mail = self
            .writer
            .seal(to, claimed.id, now, &rendered)
            .map_err(|error| error.to_string())?;
        Ok((mail.envelope().clone(), mail.formatted(), secrets))
    }

    fn invitation(
        &self,
        invited: &Invited,
        to: &Addressee,
        now: DateTime<Utc>,
    ) -> Result<(Rendered, Secrets), String> {
        let method = Method::from_name(&invited.method).ok_or("unknown method")?;
        let key = self
            .keys
            .require(&invited.key_id)
            .map_err(|error| error.to_string())?;
        let secrets = Secrets::derive(
            key,
            invited.invitation_id,
            u32::try_from(invited.counter).map_err(|_| "bad counter")?,
            u8::try_from(invited.pin_length).map_err(|_| "bad PIN length")?,
        );
        let lifetime = u8::try_from(invited.pin_lifetime_days).map_err(|_| "bad PIN lifetime")?;
        let until = valid_until(
            method,
            invited.pin_issued_at.unwrap_or(now),
            lifetime,
            invited.expires_at,
        );
        // A lost answer began the PIN's life, and it ended before the mail was accepted: it begins anew.
        let until = if until <= now {
            valid_until(method, now, lifetime, invited.expires_at)
        } else {
            until
        };
        let link_only = QrPayload::EnrollmentUrl;
        let registration = invited.registration.as_ref();
        let payload = registration.map_or(&link_only, |registration| &registration.qr_payload);
        let rendered = self
            .writer
            .invitation(
                to,
                method,
                &secrets,
                until,
                invited.note.as_deref(),
                payload,
            )
            .map_err(|error| error.to_string())?;
        Ok((rendered, secrets))
    }

    fn confirmation(&self, enrolled: &Enrolled, to: &Addressee) -> Result<Rendered, String> {
        let ownership = Ownership::from_name(&enrolled.ownership).ok_or("unknown ownership")?;
        let platform = Platform::from_name(&enrolled.platform).ok_or("unknown platform")?;
        self.writer
            .confirmation(
                to,
                enrolled.model.as_deref().unwrap_or(platform.shown()),
                &enrolled.number,
                ownership,
                enrolled.enrolled_at,
            )
            .map_err(|error| error.to_string())
    }
}

/// Until when a message is worth sending.
fn good_until(claimed: &Claimed) -> DateTime<Utc> {
    match &claimed.about {
        About::Invitation(invited) => invited.expires_at,
        // As long as any message is tried.
        About::Enrollment(_) => DateTime::<Utc>::MAX_UTC,
    }
}

/// A server's words without the secrets in them.
fn hidden(secrets: Option<&Secrets>, text: &str) -> String {
    secrets.map_or_else(|| text.to_owned(), |secrets| secrets.hidden(text))
}

/// At least one, whatever is stored.
fn tries(attempts: i32) -> u32 {
    u32::try_from(attempts).unwrap_or(1).max(1)
}

/// Who a message is to, if the user is still there and has an address.
fn addressee(claimed: &Claimed) -> Option<Addressee> {
    Some(Addressee {
        display_name: claimed.display_name.clone()?,
        username: claimed.username.clone()?,
        email: claimed.email.clone()?,
        time_zone: claimed.time_zone.clone(),
        lang: Lang::negotiate(claimed.locale.as_deref()),
    })
}
