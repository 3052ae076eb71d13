//! What the running delivery holds, and when there is something to do.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use chrono::{DateTime, Utc};
use tokio::{task::JoinSet, time::Instant};
use uuid::Uuid;

use super::{
    attempt::Tried,
    message::Claimed,
    pace::{Pace, Wanted},
    queries::Settled,
};

/// Leases are renewed while we live.
pub(super) const RENEW_EVERY: Duration = Duration::from_secs(15);
/// Claimed ahead, for each connection: enough that none waits for the database, and that planning and committing a
/// claim is shared by many.
const AHEAD: usize = 16;

/// A message that was claimed and is not tried yet.
pub(super) struct Waiting {
    pub(super) claimed: Claimed,
    /// When it was last seen that it is ours and its invitation pending.
    pub(super) seen_at: Instant,
}

/// What came of asking for messages.
pub(super) struct Found {
    pub(super) wanted: usize,
    pub(super) claimed: Vec<Claimed>,
    pub(super) asked_at: Instant,
    /// When ENLIST_MAIL_RATE allows more.
    pub(super) next_at: Option<DateTime<Utc>>,
}

/// What the running loop holds. The mail server never waits for the database: claiming and writing down go on beside
/// the sending, one of each at a time.
pub(super) struct Round {
    /// Those that were seen the longest time ago first.
    pub(super) waiting: VecDeque<Waiting>,
    pub(super) claiming: JoinSet<Found>,
    /// Each with what the pace said when it was started.
    pub(super) on_the_wire: JoinSet<(u32, Tried)>,
    pub(super) pace: Pace,
    /// Tried, or being tried, and not yet written down: id and attempts.
    pub(super) unsettled: HashMap<Uuid, i32>,
    pub(super) finished: Vec<Settled>,
    /// Gives the results, and whether they are written.
    pub(super) settling: JoinSet<(Vec<Settled>, bool)>,
    pub(super) look_at: Instant,
    pub(super) settle_at: Instant,
    /// Not before this: the database was away.
    pub(super) settle_from: Instant,
    pub(super) renew_at: Instant,
    /// When stopping ends at the latest.
    pub(super) stop_by: Option<Instant>,
}

impl Round {
    /// Nothing is claimed yet, and the queue is looked at now.
    pub(super) fn new(connections: usize, probe_every: Duration) -> Self {
        let now = Instant::now();
        Self {
            waiting: VecDeque::new(),
            claiming: JoinSet::new(),
            on_the_wire: JoinSet::new(),
            pace: Pace::new(connections, probe_every),
            unsettled: HashMap::new(),
            finished: Vec::new(),
            settling: JoinSet::new(),
            look_at: now,
            settle_at: now,
            settle_from: now,
            renew_at: now + RENEW_EVERY,
            stop_by: None,
        }
    }

    /// What is ours: id and attempts of each.
    pub(super) fn held(&self) -> Vec<(Uuid, i32)> {
        let waiting = self
            .waiting
            .iter()
            .map(|waiting| (waiting.claimed.id, waiting.claimed.attempts));
        waiting
            .chain(self.unsettled.iter().map(|(id, attempts)| (*id, *attempts)))
            .collect()
    }

    /// How many messages to claim at once: one at a time while it is not known whether the server is back, few while there has
    /// to be a while between two.
    pub(super) fn wanted(&self) -> usize {
        match self.pace.wanted(Instant::now().into_std()) {
            Wanted::Nothing => 0,
            Wanted::One => 1,
            Wanted::Places(places) => places * AHEAD,
        }
    }

    /// What is held and will not be sent soon: all of it when stopping or while the server is left alone, and what was claimed
    /// for more connections than there are now.
    pub(super) fn surplus(&mut self) -> impl Iterator<Item = Waiting> {
        let most = match self.stop_by {
            Some(_) => 0,
            // What was claimed in two goes is no surplus.
            None => self.wanted() * 2,
        };
        let most = most.min(self.waiting.len());
        self.waiting.drain(most..)
    }

    /// Whether so few are left that more should be on their way.
    pub(super) fn is_running_out(&self, wanted: usize) -> bool {
        self.claiming.is_empty() && self.waiting.len() * 2 < wanted
    }

    /// When there is something to do even if nothing happens before.
    pub(super) fn wake_at(&self) -> Instant {
        let mut at = self.renew_at;
        let closed = self.pace.opens_at().map(Instant::from_std);
        let closed = closed.filter(|opens_at| *opens_at > Instant::now());
        if self.stop_by.is_none() {
            match closed {
                Some(opens_at) => at = at.min(opens_at),
                None if self.is_running_out(self.wanted()) => at = at.min(self.look_at),
                None => {}
            }
        }
        if !self.finished.is_empty() && self.settling.is_empty() {
            at = at.min(self.settle_at.max(self.settle_from));
        }
        self.stop_by.map_or(at, |stop_by| at.min(stop_by))
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.on_the_wire.is_empty()
            && self.finished.is_empty()
            && self.settling.is_empty()
            && self.claiming.is_empty()
    }
}
