//! Delivery: claims what is due, makes each mail, hands it to the mail server and writes down how
//! that ended. No connection to the database is held while a mail is on its way.

use std::{
    collections::{HashMap, VecDeque},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use tokio::{
    sync::{Notify, watch},
    task::JoinSet,
    time::Instant,
};
use uuid::Uuid;

use super::{
    allowance,
    attempt::Tried,
    pace::Pace,
    queries::{self, About, Claimed, Settled},
};
use crate::{
    clock::Clock,
    db::{Db, DbError},
    invitations::letter::Writer,
    mail::smtp::SmtpPool,
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
/// Claimed ahead, for each connection: enough that none waits for the database, and that planning and committing a
/// claim is shared by many.
const AHEAD: usize = 16;
/// How soon the queue is looked at again when ENLIST_MAIL_RATE is what holds it: often enough for it to flow.
const SOONEST: Duration = Duration::from_millis(5);

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
    /// Messages a second over all instances; `None`: no limit.
    pub rate: Option<NonZeroU32>,
    /// Rung when something was queued, by whichever instance.
    pub bell: Arc<Notify>,
}

/// What the running loop holds.
struct Round {
    /// Claimed and not yet tried.
    waiting: VecDeque<Claimed>,
    /// When it was last seen that those are ours and their invitations pending.
    seen_at: Instant,
    on_the_wire: JoinSet<Tried>,
    pace: Pace,
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
        let paused = self.pace.resume_at().map(Instant::from_std);
        let paused = paused.filter(|resume_at| *resume_at > Instant::now());
        if self.stop_by.is_none() && self.waiting.len() < connections {
            at = at.min(paused.unwrap_or(self.look_at));
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
            pace: Pace::new(self.connections),
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
                    self.give_back(&mut round).await;
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
                    Ok(Tried { settled, heard }) => {
                        if let Some(pause) = round.pace.hear(heard, Instant::now().into_std()) {
                            tracing::warn!(
                                seconds = pause.as_secs(), reason = settled.reason,
                                "the mail server is left alone for a while; messages wait"
                            );
                            self.give_back(&mut round).await;
                        }
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

    /// Claims what is due and starts as many deliveries as the mail server takes.
    async fn fill(&self, round: &mut Round) {
        let places = round.pace.places(Instant::now().into_std());
        if places == 0 {
            return;
        }
        if Instant::now() >= round.look_at && round.waiting.len() < places {
            if round.waiting.is_empty() {
                round.seen_at = Instant::now();
            }
            // One at a time while it is not known whether the server is back.
            let probing = round.pace.resume_at().is_some();
            let wanted = if probing { 1 } else { places * AHEAD };
            let (claimed, next_at) = self.claim(wanted).await;
            if let Some(next_at) = next_at {
                let wait = (next_at - self.clock.now()).to_std().unwrap_or_default();
                round.look_at = Instant::now() + wait.clamp(SOONEST, POLL);
            } else if claimed.len() < wanted {
                round.look_at = Instant::now() + POLL;
            }
            round.waiting.extend(claimed);
        }
        let has_place = round.on_the_wire.len() < places;
        if has_place && !round.waiting.is_empty() && round.seen_at.elapsed() > BELIEVED_FOR {
            self.renew(round).await;
        }
        while round.on_the_wire.len() < places && round.seen_at.elapsed() <= BELIEVED_FOR {
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
        let (claimed, _) = self.claimed(1_000).await?;
        let count = claimed.len();
        let results: Vec<Settled> = stream::iter(claimed)
            .map(|claimed| self.deliver(claimed))
            .buffer_unordered(self.connections)
            .map(|tried| tried.settled)
            .collect()
            .await;
        let now = self.clock.now();
        self.db
            .transaction(move |connection| queries::settle(connection, &results, now))
            .await?;
        Ok(count)
    }

    fn lease_until(&self) -> DateTime<Utc> {
        self.clock.now() + LEASE
    }

    /// Claims up to `limit` messages, and where ENLIST_MAIL_RATE allowed no more, says when it does again.
    async fn claimed(
        &self,
        limit: usize,
    ) -> Result<(Vec<Claimed>, Option<DateTime<Utc>>), DbError> {
        let (now, lease_until) = (self.clock.now(), self.lease_until());
        let (registrations, rate) = (self.registrations.clone(), self.rate);
        self.db
            .transaction(move |connection| {
                let Some(rate) = rate else {
                    let claimed =
                        queries::claim(connection, limit, now, lease_until, &registrations)?;
                    return Ok((claimed, None));
                };
                let allowed = allowance::look(connection, rate, now)?;
                let limit = limit.min(allowed.messages);
                if limit == 0 {
                    return Ok((Vec::new(), Some(allowed.next_at)));
                }
                let claimed = queries::claim(connection, limit, now, lease_until, &registrations)?;
                allowance::take(connection, allowed, claimed.len())?;
                let next_at = (claimed.len() == limit).then(|| allowed.next_after(limit));
                Ok((claimed, next_at))
            })
            .await
    }

    async fn claim(&self, limit: usize) -> (Vec<Claimed>, Option<DateTime<Utc>>) {
        self.claimed(limit).await.unwrap_or_else(|error| {
            tracing::warn!(%error, "the outbox cannot be read; trying again");
            (Vec::new(), None)
        })
    }

    async fn settle(&self, results: Vec<Settled>) -> bool {
        let now = self.clock.now();
        let written: Result<(), DbError> = self
            .db
            .transaction(move |connection| queries::settle(connection, &results, now))
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

    /// Gives back what was claimed and not tried: others may send it, or we later.
    async fn give_back(&self, round: &mut Round) {
        let unsent: Vec<(Uuid, i32)> = round
            .waiting
            .drain(..)
            .map(|claimed| (claimed.id, claimed.attempts))
            .collect();
        if unsent.is_empty() {
            return;
        }
        let now = self.clock.now();
        let given: Result<(), DbError> = self
            .db
            .transaction(move |connection| queries::give_back(connection, &unsent, now))
            .await;
        if let Err(error) = given {
            tracing::warn!(%error, "unsent messages keep their lease until it ends");
        }
    }
}
