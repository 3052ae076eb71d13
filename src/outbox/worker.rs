//! Delivery: claims what is due, makes each mail, hands it to the mail server and writes down how
//! that ended. No connection to the database is held while a mail is on its way.

use std::{collections::HashMap, num::NonZeroU32, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use tokio::{
    sync::{Notify, watch},
    task::JoinError,
    time::Instant,
};
use uuid::Uuid;

use super::{
    allowance,
    attempt::{Courier, Tried},
    message::{About, Claimed},
    pace::Pause,
    queries::{self, Kept, Settled},
    registrations::Registrations,
    round::{Found, RENEW_EVERY, Round, Waiting},
};
use crate::{
    db::{Db, DbError},
    model::said::for_log,
};

/// How long a claimed message is ours; renewed while we live, so that a killed instance's messages
/// are taken over within a minute.
const LEASE: Duration = Duration::from_secs(45);
/// How often the queue is looked at when nobody says that there is something.
const POLL: Duration = Duration::from_secs(1);
/// How old the knowledge may be that a message is ours and its invitation pending.
const BELIEVED_FOR: Duration = Duration::from_secs(1);
/// How long stopping may take: longer than most mail servers, shorter than most supervisors' patience.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// A result is written within 250 ms (PRODUCT §7); this leaves time for the writing.
const SETTLE_WITHIN: Duration = Duration::from_millis(100);
const SETTLE_AT_ONCE: usize = 100;
/// How soon the queue is looked at again when ENLIST_MAIL_RATE is what holds it: often enough for it to flow.
const SOONEST: Duration = Duration::from_millis(5);

/// Everything that delivery needs. Cheap to clone.
#[derive(Clone)]
pub struct Worker {
    pub db: Db,
    pub courier: Courier,
    pub registrations: Registrations,
    /// SMTP connections of this instance.
    pub connections: usize,
    /// How often a mail server that refuses all is asked.
    pub probe_every: Duration,
    /// Messages a second over all instances; `None`: no limit.
    pub rate: Option<NonZeroU32>,
    /// Rung when something was queued, by whichever instance.
    pub bell: Arc<Notify>,
}

impl Worker {
    /// Delivers until told to stop; then finishes what is on the wire, gives the rest back and
    /// writes the results.
    pub async fn run(self, mut stop: watch::Receiver<bool>) {
        let mut round = Round::new(self.connections, self.probe_every);
        loop {
            if *stop.borrow() {
                if round.stop_by.is_none() {
                    round.stop_by = Some(Instant::now() + STOP_WITHIN);
                    self.give_back(&mut round).await;
                }
                if round.is_idle() {
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
            self.write_down(&mut round);
            if Instant::now() >= round.renew_at {
                self.renew(&mut round).await;
            }
            self.courier.metrics.delivering(
                round.on_the_wire.len(),
                round.pace.places(Instant::now().into_std()),
                round.pace.is_paused(),
            );
            let wake_at = round.wake_at();
            tokio::select! {
                Some(result) = round.on_the_wire.join_next() => match result {
                    Ok((started, Tried { mut settled, heard, kept })) => {
                        let now = Instant::now().into_std();
                        let was_paused = round.pace.is_paused();
                        if let Some(pause) = round.pace.hear(heard, started, now) {
                            pause.tell(&settled);
                        } else if was_paused && !round.pace.is_paused() {
                            tracing::info!("the mail server is there again; messages go out");
                        }
                        if round.pace.is_refused() && let Some(kept) = kept {
                            settled = kept;
                        }
                        self.give_back(&mut round).await;
                        self.courier.smtp.shrink(round.pace.connections());
                        if round.finished.is_empty() {
                            round.settle_at = Instant::now() + SETTLE_WITHIN;
                        }
                        round.finished.push(settled);
                    }
                    Err(error) => tracing::error!(%error, "a delivery was lost"),
                },
                Some(found) = round.claiming.join_next() => {
                    self.take(&mut round, whole(found)).await;
                }
                Some(written) = round.settling.join_next() => {
                    let (results, is_written) = whole(written);
                    if is_written {
                        for settled in results {
                            round.unsettled.remove(&settled.id);
                        }
                    } else {
                        // The results are kept; the database is asked again a little later.
                        round.finished.extend(results);
                        round.settle_from = Instant::now() + POLL;
                    }
                }
                () = self.bell.notified() => round.look_at = Instant::now(),
                // Without a sender nobody can say stop any more.
                changed = stop.changed(), if round.stop_by.is_none() => if changed.is_err() { break },
                () = tokio::time::sleep_until(wake_at) => {}
            }
        }
        self.courier.smtp.close().await;
    }

    /// Has more claimed when few are left, and starts as many deliveries as the mail server takes.
    async fn fill(&self, round: &mut Round) {
        let places = round.pace.places(Instant::now().into_std());
        if places == 0 {
            return;
        }
        let wanted = round.wanted();
        if Instant::now() >= round.look_at && round.is_running_out(wanted) {
            // Unless there turns out to be more, or the bell rings meanwhile.
            round.look_at = Instant::now() + POLL;
            let worker = self.clone();
            round.claiming.spawn(async move {
                let asked_at = Instant::now();
                let (claimed, next_at) = worker.claim(wanted).await;
                Found {
                    wanted,
                    claimed,
                    asked_at,
                    next_at,
                }
            });
        }
        // Counted each time: there may have to be a while between two messages.
        while round.on_the_wire.len() < round.pace.places(Instant::now().into_std())
            && let Some(first) = round.waiting.front()
        {
            if first.seen_at.elapsed() > BELIEVED_FOR && !self.renew(round).await {
                break;
            }
            let Some(Waiting { claimed, .. }) = round.waiting.pop_front() else {
                break;
            };
            round.unsettled.insert(claimed.id, claimed.attempts);
            let courier = self.courier.clone();
            let started = round.pace.start(Instant::now().into_std());
            round
                .on_the_wire
                .spawn(async move { (started, courier.deliver(claimed).await) });
        }
    }

    /// Takes what was claimed, unless nothing is sent any more: then it goes back.
    async fn take(&self, round: &mut Round, found: Found) {
        if let Some(next_at) = found.next_at {
            let wait = (next_at - self.courier.clock.now())
                .to_std()
                .unwrap_or_default();
            round.look_at = Instant::now() + wait.clamp(SOONEST, POLL);
        } else if found.claimed.len() == found.wanted {
            round.look_at = Instant::now();
        }
        round
            .waiting
            .extend(found.claimed.into_iter().map(|claimed| Waiting {
                claimed,
                seen_at: found.asked_at,
            }));
        self.give_back(round).await;
    }

    /// Has results written when there are many, when it is time, or when nothing else is going on.
    fn write_down(&self, round: &mut Round) {
        if round.finished.is_empty() || !round.settling.is_empty() {
            return;
        }
        let now = Instant::now();
        let is_time = now >= round.settle_at
            || round.finished.len() >= SETTLE_AT_ONCE
            || round.on_the_wire.is_empty();
        if !is_time || now < round.settle_from {
            return;
        }
        let (worker, results) = (self.clone(), std::mem::take(&mut round.finished));
        round.settling.spawn(async move {
            let is_written = worker.settle(results.clone()).await;
            (results, is_written)
        });
    }

    /// One tick: everything that is due now is claimed, sent and settled. Gives how many that were.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn deliver_due(&self) -> Result<usize, DbError> {
        let (claimed, _) = self.claimed(1_000).await?;
        let count = claimed.len();
        let results: Vec<Settled> = stream::iter(claimed)
            .map(|claimed| self.courier.deliver(claimed))
            .buffer_unordered(self.connections)
            .map(|tried| tried.settled)
            .collect()
            .await;
        let now = self.courier.clock.now();
        self.db
            .transaction(move |connection| queries::settle(connection, &results, now))
            .await?;
        Ok(count)
    }

    fn lease_until(&self) -> DateTime<Utc> {
        self.courier.clock.now() + LEASE
    }

    /// Claims up to `limit` messages, and where ENLIST_MAIL_RATE allowed no more, says when it does again.
    async fn claimed(
        &self,
        limit: usize,
    ) -> Result<(Vec<Claimed>, Option<DateTime<Utc>>), DbError> {
        let (now, lease_until) = (self.courier.clock.now(), self.lease_until());
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
        let now = self.courier.clock.now();
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
    /// meanwhile will not be sent. Gives whether that is known now.
    async fn renew(&self, round: &mut Round) -> bool {
        let held = round.held();
        if held.is_empty() {
            round.renew_at = Instant::now() + RENEW_EVERY;
            return true;
        }
        let (asked_at, lease_until) = (Instant::now(), self.lease_until());
        let renewed: Result<HashMap<Uuid, Kept>, DbError> = self
            .db
            .transaction(move |connection| queries::renew(connection, &held, lease_until))
            .await;
        match renewed {
            Ok(mut kept) => {
                round.waiting.retain_mut(|Waiting { claimed, seen_at }| {
                    let Some(kept) = kept.remove(&claimed.id) else {
                        return false;
                    };
                    if let About::Invitation(invited) = &mut claimed.about {
                        invited.is_canceled = kept.is_canceled;
                        invited.state = kept.state.unwrap_or(invited.state);
                    }
                    *seen_at = asked_at;
                    true
                });
                round.renew_at = asked_at + RENEW_EVERY;
                true
            }
            Err(error) => {
                tracing::warn!(%error, "leases cannot be renewed; nothing new is sent meanwhile");
                round.renew_at = Instant::now() + POLL;
                false
            }
        }
    }

    /// Gives back what was claimed and will not be tried soon: others may send it, or we later.
    async fn give_back(&self, round: &mut Round) {
        let unsent: Vec<(Uuid, i32)> = round
            .surplus()
            .map(|waiting| (waiting.claimed.id, waiting.claimed.attempts))
            .collect();
        if unsent.is_empty() {
            return;
        }
        let now = self.courier.clock.now();
        let given: Result<(), DbError> = self
            .db
            .transaction(move |connection| queries::give_back(connection, &unsent, now))
            .await;
        if let Err(error) = given {
            tracing::warn!(%error, "unsent messages keep their lease until it ends");
        }
    }
}

impl Pause {
    /// Tells the log, with the words that began it.
    fn tell(self, settled: &Settled) {
        let reason = settled.reason.as_deref().map(for_log);
        match self {
            Self::Away(pause) => tracing::warn!(
                seconds = pause.as_secs(),
                reason,
                "the mail server is left alone for a while; messages wait"
            ),
            Self::Refused(pause) => tracing::warn!(
                seconds = pause.as_secs(),
                reason,
                "the mail server refuses all that is sent; messages wait, and one at a time tries it"
            ),
        }
    }
}

/// What a task gave. A panic in it goes on here: without it nothing would be claimed or written any more.
fn whole<T>(joined: Result<T, JoinError>) -> T {
    joined.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))
}
