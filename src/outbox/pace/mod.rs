//! How many messages may be on the wire at once: what the mail server's answers make of it. Pure.
//!
//! A server that is away is left alone for a while: the queue waits, instead of each message in it using up its
//! tries and coming back an hour later. One that refuses the sender is asked once a minute. One that asks for less gets
//! less: half the connections, and with one left, longer and longer between two messages; then slowly more again.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

/// Failures of the server as such, one after another, after which it is left alone.
const FAILURES: u32 = 3;
/// How long at first, and at most; doubled each time that it is still away.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Recipients for whom the sender was refused, and recipients whose mail was refused for good, after which the server is
/// left alone, with nothing accepted between (PRODUCT §7).
const REFUSALS: usize = 2;
const REJECTIONS: usize = 5;
/// Recipients one after another about whom it is not clear whether they or our pace are meant, until it is clear.
const DOUBTS: u32 = 3;
/// Connections that doubts leave: they are not certain enough for less.
const IN_DOUBT: usize = 2;
/// Acceptances for each connection in use after which there is one more.
const GROW_AFTER: u32 = 4;
/// How long more connections than the server took are not tried again.
const REMEMBER: Duration = Duration::from_secs(60);
/// Between two messages of a single connection that is still too fast: at first, at most, and when it is over.
const FIRST_GAP: Duration = Duration::from_millis(50);
const LONGEST_GAP: Duration = Duration::from_secs(10);
const SHORTEST_GAP: Duration = Duration::from_millis(20);

/// What a try says of the mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// It was not asked.
    Nothing,
    /// It took the message.
    Accepted,
    /// It works, and said no to this recipient or message.
    Answered,
    /// It meant this recipient, or wants fewer messages.
    Unsure(String),
    /// It wants fewer messages.
    WantsLess,
    /// It takes nothing from this sender; the recipient of the message that met it.
    Refused(String),
    /// It refused the content of the message to this recipient for good.
    Rejected(String),
    /// It broke off the connection.
    Broken,
    /// It cannot be reached.
    Away,
}

/// Why the server is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    /// It is away for now.
    Away(Duration),
    /// It refuses what we send, and is asked once in this time.
    Refused(Duration),
}

/// How many messages are worth having at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// The server is left alone.
    Nothing,
    One,
    /// Enough for so many connections.
    Places(usize),
}

/// How fast this instance sends.
#[derive(Debug)]
pub struct Pace {
    most: usize,
    /// Connections that may be used, while the server is not left alone.
    at_once: usize,
    /// Acceptances since that changed.
    accepted: u32,
    /// Counts how often it became less: what was started before says nothing new.
    generation: u32,
    /// As many connections were too many, at that time.
    too_many: Option<(usize, Instant)>,
    /// As many connections went well for long enough to try one more.
    went_well: usize,
    /// Between two messages.
    gap: Duration,
    started_at: Option<Instant>,
    failures: u32,
    /// Until when the server is left alone; after that, one message at a time tries it.
    resume_at: Option<Instant>,
    pause: Duration,
    /// How often a server that refuses all is asked.
    probe_every: Duration,
    /// The recipients for whom the sender was refused, with nothing accepted since; few are enough.
    refused_for: Vec<String>,
    /// The recipients whose mail was refused for good, likewise.
    rejected_for: Vec<String>,
    is_refused: bool,
    doubted: Option<String>,
    doubts: u32,
    /// What there was before the doubts, given back with the next acceptance.
    before_doubts: Option<usize>,
}

impl Pace {
    /// With up to `most` connections; a server that refuses all is asked every `probe_every`.
    pub fn new(most: usize, probe_every: Duration) -> Self {
        Self {
            most,
            at_once: most,
            accepted: 0,
            generation: 0,
            too_many: None,
            went_well: 0,
            gap: Duration::ZERO,
            started_at: None,
            failures: 0,
            resume_at: None,
            pause: FIRST_PAUSE,
            probe_every,
            refused_for: Vec::new(),
            rejected_for: Vec::new(),
            is_refused: false,
            doubted: None,
            doubts: 0,
            before_doubts: None,
        }
    }

    /// How many messages may be on the wire now.
    pub fn places(&self, now: Instant) -> usize {
        match self.opens_at() {
            Some(at) if now < at => 0,
            _ if self.resume_at.is_some() => 1,
            _ => self.at_once,
        }
    }

    /// How many messages are worth having at hand.
    pub fn wanted(&self, now: Instant) -> Wanted {
        match self.resume_at {
            Some(at) if now < at => Wanted::Nothing,
            Some(_) => Wanted::One,
            None if self.gap > FIRST_GAP => Wanted::One,
            None => Wanted::Places(self.at_once),
        }
    }

    /// Until when nothing is started, if that is so.
    pub fn opens_at(&self) -> Option<Instant> {
        let next = self.started_at.filter(|_| !self.gap.is_zero());
        self.resume_at.max(next.map(|at| at + self.gap))
    }

    /// Whether the server is left alone, or tried after it was.
    pub fn is_paused(&self) -> bool {
        self.resume_at.is_some()
    }

    /// Connections that are worth keeping.
    pub fn connections(&self) -> usize {
        self.at_once
    }

    /// Notes that a message is started now; what it gives is to be told when its end is heard.
    pub fn start(&mut self, now: Instant) -> u32 {
        self.started_at = Some(now);
        self.generation
    }

    /// Whether the server refuses all that is sent.
    pub fn is_refused(&self) -> bool {
        self.is_refused
    }

    /// Learns from a try. Says when the server is left alone from now on.
    pub fn hear(&mut self, heard: Heard, started: u32, now: Instant) -> Option<Pause> {
        // What was on the wire before the server was left alone is known already.
        let is_early = self.resume_at.is_some_and(|at| now < at);
        match heard {
            Heard::Nothing => {
                // Nobody was asked, so nothing has to wait for it.
                self.started_at = None;
                None
            }
            Heard::Accepted => {
                self.is_back();
                self.refused_for.clear();
                self.rejected_for.clear();
                self.is_refused = false;
                (self.doubted, self.doubts) = (None, 0);
                if let Some(before) = self.before_doubts.take() {
                    self.at_once = before;
                }
                self.grow(now);
                None
            }
            // It speaks with us; whether it takes mails again, the next one tells.
            Heard::Answered if self.is_refused => {
                if !is_early {
                    self.resume_at = Some(now);
                }
                None
            }
            Heard::Answered => {
                self.is_back();
                None
            }
            // Still the same, or another reason to wait: one at a time, as often as before.
            Heard::Unsure(_) | Heard::WantsLess if self.resume_at.is_some() => {
                if !is_early {
                    self.resume_at = Some(now + self.between_probes());
                }
                None
            }
            Heard::Unsure(to) => {
                if self.doubted.as_ref() != Some(&to) {
                    (self.doubted, self.doubts) = (Some(to), self.doubts + 1);
                }
                if self.doubts >= DOUBTS && self.at_once > IN_DOUBT {
                    self.before_doubts.get_or_insert(self.at_once);
                    self.at_once = IN_DOUBT;
                    self.accepted = 0;
                }
                None
            }
            Heard::WantsLess => {
                let is_least = self.at_once == 1 && started == self.generation;
                self.slow_down(started, now);
                // As long as something is accepted between, it only wants less; else it closes for everybody.
                is_least.then(|| self.failed(now)).flatten()
            }
            Heard::Refused(to) => {
                note(&mut self.refused_for, to);
                self.refused(now)
            }
            // Mails differ by little: what is wrong with several of them is wrong with all.
            Heard::Rejected(to) => {
                note(&mut self.rejected_for, to);
                self.refused(now)
            }
            Heard::Broken | Heard::Away => self.failed(now),
        }
    }

    fn between_probes(&self) -> Duration {
        if self.is_refused {
            self.probe_every
        } else {
            self.pause
        }
    }

    fn is_back(&mut self) {
        if self.resume_at.take().is_some() {
            // Not with all at once: it may just have started.
            self.at_once = 1;
            self.accepted = 0;
            self.before_doubts = None;
        }
        self.failures = 0;
        self.pause = FIRST_PAUSE;
    }

    fn grow(&mut self, now: Instant) {
        self.accepted += 1;
        let step = GROW_AFTER.saturating_mul(u32::try_from(self.at_once).unwrap_or(u32::MAX));
        if self.accepted < step {
            return;
        }
        if !self.gap.is_zero() {
            self.accepted = 0;
            self.gap = self.gap * 3 / 4;
            if self.gap < SHORTEST_GAP {
                self.gap = Duration::ZERO;
            }
            return;
        }
        let too_many = self
            .too_many
            .filter(|(_, at)| now.saturating_duration_since(*at) < REMEMBER);
        let most = too_many.map_or(self.most, |(too_many, _)| self.most.min(too_many - 1));
        if self.at_once < most {
            self.went_well = self.at_once;
            self.at_once += 1;
            self.accepted = 0;
        }
    }

    /// What was on the wire when it became less is the same complaint.
    fn slow_down(&mut self, started: u32, now: Instant) {
        if started != self.generation {
            return;
        }
        self.generation = self.generation.wrapping_add(1);
        (self.doubted, self.doubts, self.before_doubts) = (None, 0, None);
        if self.at_once == 1 {
            self.gap = (self.gap * 2).clamp(FIRST_GAP, LONGEST_GAP);
        } else {
            self.too_many = Some((self.at_once, now));
            // One less went well before: then that is what it takes.
            self.at_once = match self.at_once - 1 {
                less if less == self.went_well => less,
                _ => self.at_once / 2,
            };
            self.went_well = self.went_well.min(self.at_once);
        }
        self.accepted = 0;
    }

    fn failed(&mut self, now: Instant) -> Option<Pause> {
        self.failures = self.failures.saturating_add(1);
        match self.resume_at {
            // What was on the wire before: known already.
            Some(at) if now < at => return None,
            Some(_) => self.pause = (self.pause * 2).min(LONGEST_PAUSE),
            None if self.failures < FAILURES => return None,
            None => {}
        }
        let pause = self.between_probes();
        self.resume_at = Some(now + pause);
        Some(Pause::Away(pause))
    }

    /// Several recipients tell that it is not about one of them.
    fn refused(&mut self, now: Instant) -> Option<Pause> {
        self.is_refused |=
            self.refused_for.len() >= REFUSALS || self.rejected_for.len() >= REJECTIONS;
        if !self.is_refused || self.resume_at.is_some_and(|at| now < at) {
            return None;
        }
        self.resume_at = Some(now + self.probe_every);
        Some(Pause::Refused(self.probe_every))
    }
}

/// Notes one more recipient, as long as it matters how many there are.
fn note(recipients: &mut Vec<String>, to: String) {
    if recipients.len() < REFUSALS.max(REJECTIONS) && !recipients.contains(&to) {
        recipients.push(to);
    }
}
