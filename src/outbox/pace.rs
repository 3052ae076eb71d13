//! How many messages may be on the wire at once: what the mail server's answers make of it. Pure.
//!
//! A server that is away is left alone for a while: the queue waits, instead of each message in it using up its
//! tries and coming back an hour later. One that asks for less gets less.

use std::time::{Duration, Instant};

/// Failures of the server as such, one after another, after which it is left alone.
const FAILURES: u32 = 3;
/// How long at first, and at most; doubled each time that it is still away.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Complaints within this time are one: what is on the wire was sent before the first of them.
const ONE_COMPLAINT: Duration = Duration::from_secs(1);
/// Acceptances for each connection in use after which there is one more.
const GROW_AFTER: u32 = 4;

/// What a try says of the mail server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It was not asked.
    Nothing,
    /// It works, whatever it said about the message.
    Works,
    /// It wants fewer messages.
    WantsLess,
    /// It closes its service for now.
    Closing,
    /// It cannot be reached.
    Away,
}

/// How fast this instance sends.
#[derive(Debug)]
pub struct Pace {
    most: usize,
    /// Connections that may be used, while the server is not left alone.
    at_once: usize,
    accepted: u32,
    complained_at: Option<Instant>,
    failures: u32,
    /// Until when the server is left alone; after that, one message at a time tries it.
    resume_at: Option<Instant>,
    pause: Duration,
}

impl Pace {
    /// With up to `most` connections.
    pub fn new(most: usize) -> Self {
        Self {
            most,
            at_once: most,
            accepted: 0,
            complained_at: None,
            failures: 0,
            resume_at: None,
            pause: FIRST_PAUSE,
        }
    }

    /// How many messages may be on the wire now.
    pub fn places(&self, now: Instant) -> usize {
        match self.resume_at {
            Some(at) if now < at => 0,
            Some(_) => 1,
            None => self.at_once,
        }
    }

    /// Until when nothing is sent, if that is so.
    pub fn resume_at(&self) -> Option<Instant> {
        self.resume_at
    }

    /// Learns from a try. Gives how long the server is left alone, if that begins now.
    pub fn hear(&mut self, heard: Heard, now: Instant) -> Option<Duration> {
        match heard {
            Heard::Nothing => None,
            Heard::Works => {
                self.is_back();
                self.accepted += 1;
                let step =
                    GROW_AFTER.saturating_mul(u32::try_from(self.at_once).unwrap_or(u32::MAX));
                if self.at_once < self.most && self.accepted >= step {
                    self.at_once += 1;
                    self.accepted = 0;
                }
                None
            }
            Heard::WantsLess => {
                self.is_back();
                self.slow_down(now);
                None
            }
            Heard::Closing => {
                self.slow_down(now);
                self.failed(now)
            }
            Heard::Away => self.failed(now),
        }
    }

    fn is_back(&mut self) {
        if self.resume_at.take().is_some() {
            // Not with all at once: it may just have started.
            self.at_once = 1;
            self.accepted = 0;
        }
        self.failures = 0;
        self.pause = FIRST_PAUSE;
    }

    fn slow_down(&mut self, now: Instant) {
        let is_new = self
            .complained_at
            .is_none_or(|at| now.saturating_duration_since(at) >= ONE_COMPLAINT);
        if is_new {
            self.complained_at = Some(now);
            self.at_once = (self.at_once / 2).max(1);
            self.accepted = 0;
        }
    }

    fn failed(&mut self, now: Instant) -> Option<Duration> {
        self.failures = self.failures.saturating_add(1);
        match self.resume_at {
            // What was on the wire before: known already.
            Some(at) if now < at => return None,
            Some(_) => self.pause = (self.pause * 2).min(LONGEST_PAUSE),
            None if self.failures < FAILURES => return None,
            None => {}
        }
        self.resume_at = Some(now + self.pause);
        Some(self.pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_is_away_is_left_alone_and_tried_one_by_one() {
        let (mut pace, mut now) = (Pace::new(8), Instant::now());
        assert_eq!(pace.hear(Heard::Away, now), None);
        assert_eq!(pace.hear(Heard::Away, now), None);
        assert_eq!(pace.places(now), 8);
        assert_eq!(pace.hear(Heard::Away, now), Some(FIRST_PAUSE));
        assert_eq!(pace.places(now), 0);
        assert_eq!(pace.hear(Heard::Away, now), None, "one of the same moment");
        let mut pauses = Vec::new();
        for _ in 0..6 {
            now = pace.resume_at().unwrap();
            assert_eq!(pace.places(now), 1);
            pauses.extend(pace.hear(Heard::Away, now).map(|pause| pause.as_secs()));
            assert_eq!(pace.places(now), 0);
        }
        assert_eq!(pauses, [10, 20, 40, 60, 60, 60]);
        now = pace.resume_at().unwrap();
        pace.hear(Heard::Works, now);
        assert_eq!((pace.places(now), pace.resume_at()), (1, None));
        for _ in 0..200 {
            pace.hear(Heard::Works, now);
        }
        assert_eq!(pace.places(now), 8);
        pace.hear(Heard::Away, now);
        pace.hear(Heard::Works, now);
        pace.hear(Heard::Away, now);
        assert_eq!(pace.hear(Heard::Away, now), None, "not one after another");
    }

    #[test]
    fn one_that_wants_less_gets_less_and_slowly_more_again() {
        let (mut pace, mut now) = (Pace::new(8), Instant::now());
        for _ in 0..5 {
            pace.hear(Heard::WantsLess, now);
        }
        assert_eq!(pace.places(now), 4, "complaints of one moment are one");
        for expected in [2, 1, 1] {
            now += ONE_COMPLAINT;
            pace.hear(Heard::WantsLess, now);
            assert_eq!(pace.places(now), expected);
        }
        for _ in 0..GROW_AFTER {
            pace.hear(Heard::Works, now);
        }
        assert_eq!(pace.places(now), 2);
        // Closing is both: fewer, and after three of them none for a while.
        for pause in [None, None, Some(FIRST_PAUSE)] {
            assert_eq!(pace.hear(Heard::Closing, now), pause);
        }
        assert_eq!(pace.places(now), 0);
        assert_eq!(pace.hear(Heard::Nothing, now), None);
    }
}
