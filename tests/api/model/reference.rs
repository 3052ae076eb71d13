//! The rules, in words of the test's own: one user after another, one message after another.

use chrono::{DateTime, Duration, Utc};
use enlist::outbox::backoff::next_try;
use uuid::Uuid;

use super::{Mood, Shown, USERS};

const LIFETIME: Duration = Duration::days(7);
const PIN_LIFETIME: Duration = Duration::days(1);
const LEASE: Duration = Duration::seconds(45);

#[derive(Debug, Clone)]
pub struct Message {
    pub id: Uuid,
    pub state: &'static str,
    pub attempts: i32,
    /// How long the next wait is.
    refusals: u32,
    pub due_at: DateTime<Utc>,
    queued_at: DateTime<Utc>,
    batch: Option<Uuid>,
    canceled: bool,
}

impl Message {
    pub fn is_over(&self) -> bool {
        !matches!(self.state, "queued" | "sending" | "deferred")
    }

    fn waits(&self) -> bool {
        matches!(self.state, "queued" | "deferred")
    }
}

#[derive(Debug, Clone)]
pub struct Invitation {
    pub id: Uuid,
    pub user: usize,
    /// As it is stored: what is over may still be pending.
    state: &'static str,
    expires_at: DateTime<Utc>,
    pin_issued_at: Option<DateTime<Utc>>,
    pub counter: i32,
    resend_count: i32,
    resent_at: Option<DateTime<Utc>>,
    /// The device that was enrolled with it, and when.
    enrolled: Option<(usize, DateTime<Utc>)>,
    pub messages: Vec<Message>,
}

#[derive(Debug, Clone, Copy)]
pub struct User {
    pub enabled: bool,
    pub deleted: bool,
    has_devices: bool,
}

#[derive(Debug, Clone)]
pub struct Batch {
    pub id: Uuid,
    pub skipped: usize,
    canceled: bool,
}

/// What a worker claimed and did not come back with.
#[derive(Debug, Clone, Copy)]
pub struct Held {
    /// Its place, of the invitation and there.
    place: (usize, usize),
    pub id: Uuid,
    pub attempts: i32,
    /// Of the PIN in the mail.
    pub counter: i32,
}

pub struct Model {
    pub now: DateTime<Utc>,
    pub users: [User; USERS],
    pub invitations: Vec<Invitation>,
    pub batches: Vec<Batch>,
}

impl Invitation {
    pub fn state(&self, now: DateTime<Utc>) -> &'static str {
        match self.state {
            "pending" if self.expires_at <= now => "expired",
            state => state,
        }
    }

    /// Ends, if it has not.
    fn mark(&mut self, state: &'static str, now: DateTime<Utc>) {
        if self.state == "pending" {
            self.state = match self.state(now) {
                "expired" => "expired",
                _ => state,
            };
        }
    }

    /// The same, and what still waits is not sent.
    fn end(&mut self, state: &'static str, now: DateTime<Utc>) {
        if self.state != "pending" {
            return;
        }
        self.mark(state, now);
        let unsent = match self.state {
            "expired" => "failed",
            _ => "suppressed",
        };
        for message in self.messages.iter_mut().filter(|message| message.waits()) {
            message.state = unsent;
        }
    }

    fn pin_is_over(&self, now: DateTime<Utc>) -> bool {
        self.pin_issued_at
            .is_some_and(|at| (at + PIN_LIFETIME).min(self.expires_at) <= now)
    }

    /// A server has, or may have, the mail with this counter's PIN.
    fn handed_over(&mut self, counter: i32, now: DateTime<Utc>) {
        let lives = self.pin_issued_at.is_some_and(|at| at + PIN_LIFETIME > now);
        if counter == self.counter && !lives {
            self.pin_issued_at = Some(now);
        }
    }
}

impl Model {
    pub fn new(now: DateTime<Utc>) -> Self {
        let user = User {
            enabled: true,
            deleted: false,
            has_devices: false,
        };
        Self {
            now,
            users: [user; USERS],
            invitations: Vec::new(),
            batches: Vec::new(),
        }
    }

    pub fn newest(&self, user: usize) -> Option<&Invitation> {
        self.invitations.iter().rev().find(|of| of.user == user)
    }

    /// Gives who is invited; the ids come from the answer.
    pub fn send(
        &mut self,
        to: &[usize],
        mailed: bool,
        batch: Uuid,
        id_of: impl Fn(usize) -> Option<Uuid>,
    ) {
        let now = self.now;
        let (invited, skipped): (Vec<usize>, Vec<usize>) =
            to.iter().partition(|user| self.users[**user].enabled);
        self.batches.push(Batch {
            id: batch,
            skipped: skipped.len(),
            canceled: false,
        });
        for user in invited {
            for before in self.invitations.iter_mut().filter(|of| of.user == user) {
                before.end("superseded", now);
            }
            let message = Message {
                id: Uuid::nil(),
                state: "queued",
                attempts: 0,
                refusals: 0,
                due_at: now,
                queued_at: now,
                batch: Some(batch),
                canceled: false,
            };
            self.invitations.push(Invitation {
                id: id_of(user).expect("an enabled user is invited"),
                user,
                state: "pending",
                expires_at: now + LIFETIME,
                pin_issued_at: (!mailed).then_some(now),
                counter: 0,
                resend_count: 0,
                resent_at: None,
                enrolled: None,
                messages: if mailed { vec![message] } else { Vec::new() },
            });
        }
    }

    pub fn resend(&mut self, which: usize, new_pin: bool) -> u16 {
        let now = self.now;
        let invitation = &mut self.invitations[which];
        if invitation.state(now) != "pending" {
            return 409;
        }
        if invitation
            .resent_at
            .is_some_and(|at| at + Duration::seconds(60) > now)
        {
            return 429;
        }
        if new_pin || invitation.pin_is_over(now) {
            invitation.counter += 1;
            invitation.pin_issued_at = None;
        }
        invitation.resend_count += 1;
        invitation.resent_at = Some(now);
        let mut waits = false;
        for message in invitation.messages.iter_mut().filter(|it| it.waits()) {
            (message.due_at, message.queued_at) = (now, now);
            waits = true;
        }
        if !waits {
            invitation.messages.push(Message {
                id: Uuid::nil(),
                state: "queued",
                attempts: 0,
                refusals: 0,
                due_at: now,
                queued_at: now,
                batch: None,
                canceled: false,
            });
        }
        202
    }

    pub fn revoke(&mut self, which: usize) -> u16 {
        let now = self.now;
        let invitation = &mut self.invitations[which];
        if invitation.state == "completed" {
            return 409;
        }
        invitation.end("revoked", now);
        200
    }

    pub fn cancel(&mut self, which: usize) -> u16 {
        let now = self.now;
        let batch = self.batches[which].id;
        if self.batches[which].canceled {
            return 200;
        }
        let mut stopped = false;
        for invitation in &mut self.invitations {
            let mut suppressed = false;
            for message in &mut invitation.messages {
                if message.batch != Some(batch) || message.is_over() {
                    continue;
                }
                (message.canceled, stopped) = (true, true);
                if message.waits() {
                    message.state = "suppressed";
                    suppressed = true;
                }
            }
            if suppressed {
                invitation.mark("revoked", now);
            }
        }
        self.batches[which].canceled = stopped;
        if stopped { 200 } else { 409 }
    }

    /// The status, and where there are several that may be, all of them.
    pub fn enroll(&mut self, user: usize, device: usize) -> &'static [u16] {
        let now = self.now;
        let User {
            enabled, deleted, ..
        } = self.users[user];
        let newest = self.invitations.iter_mut().rev().find(|of| of.user == user);
        // Wrong tries are counted, and after five of them nothing is looked at.
        let Some(newest) = newest.filter(|_| !deleted) else {
            return &[401, 429];
        };
        match newest.state(now) {
            _ if !enabled => &[403, 429],
            "pending" if newest.pin_is_over(now) => &[410],
            "pending" => {
                newest.state = "completed";
                newest.enrolled = Some((device, now));
                self.users[user].has_devices = true;
                &[201]
            }
            "completed" => match newest.enrolled {
                Some((before, at)) if before == device && now - at <= Duration::hours(24) => &[200],
                _ => &[409],
            },
            "expired" => &[410],
            _ => &[401, 429],
        }
    }

    /// Claims what is due.
    pub fn claim(&mut self) -> Vec<Held> {
        let (now, mut held) = (self.now, Vec::new());
        for (at, invitation) in self.invitations.iter_mut().enumerate() {
            for (index, message) in invitation.messages.iter_mut().enumerate() {
                if !message.is_over() && message.due_at <= now {
                    message.state = "sending";
                    message.attempts += 1;
                    message.due_at = now + LEASE;
                    held.push(Held {
                        place: (at, index),
                        id: message.id,
                        attempts: message.attempts,
                        counter: invitation.counter,
                    });
                }
            }
        }
        held
    }

    /// A worker claims what is due, tries all of it, and writes down how that ended.
    pub fn deliver(&mut self, moods: &[Mood; USERS]) -> usize {
        let (held, now) = (self.claim(), self.now);
        let tried: Vec<(&'static str, DateTime<Utc>, bool)> = held
            .iter()
            .map(|held| {
                let invitation = &self.invitations[held.place.0];
                let message = &invitation.messages[held.place.1];
                let tries = message.refusals + 1;
                let (queued_at, ends) = (message.queued_at, invitation.expires_at);
                let again = next_try(message.id, tries, queued_at, ends, now);
                let later = if again.is_some() {
                    "deferred"
                } else {
                    "failed"
                };
                let (state, got) = match (invitation.state(now), moods[invitation.user]) {
                    _ if message.canceled => ("suppressed", false),
                    ("expired", _) => ("failed", false),
                    ("pending", Mood::Takes) => ("accepted", true),
                    ("pending", Mood::Never) => ("failed", false),
                    ("pending", Mood::Later) => (later, false),
                    ("pending", Mood::KeepsSilent | Mood::Loses) => (later, true),
                    _ => ("suppressed", false),
                };
                (state, again.unwrap_or(now), got)
            })
            .collect();
        for (held, (state, due_at, got)) in held.iter().zip(tried) {
            self.settle(held, state, due_at, got);
        }
        held.len()
    }

    fn settle(&mut self, held: &Held, state: &'static str, due_at: DateTime<Utc>, got: bool) {
        let now = self.now;
        let invitation = &mut self.invitations[held.place.0];
        let message = &mut invitation.messages[held.place.1];
        if message.state != "sending" || message.attempts != held.attempts {
            return;
        }
        (message.state, message.due_at) = (state, due_at);
        message.refusals += u32::from(state == "deferred");
        let revoked = message.canceled && state != "accepted";
        if got {
            invitation.handed_over(held.counter, now);
        }
        if revoked {
            invitation.mark("revoked", now);
        }
    }

    /// Somebody comes back whose mails were all accepted: who has lost the lease is not heard.
    pub fn settle_late(&mut self, held: &[Held]) {
        for held in held {
            self.settle(held, "accepted", self.now, true);
        }
    }

    /// Somebody comes back who has sent nothing.
    pub fn give_back(&mut self, held: &[Held]) {
        let now = self.now;
        for held in held {
            let invitation = &mut self.invitations[held.place.0];
            let message = &mut invitation.messages[held.place.1];
            if message.state != "sending" || message.attempts != held.attempts {
                continue;
            }
            message.attempts -= 1;
            message.due_at = now;
            message.state = match message.attempts {
                _ if message.canceled => "suppressed",
                0 => "queued",
                _ => "deferred",
            };
            if message.canceled {
                invitation.mark("revoked", now);
            }
        }
    }

    pub fn sweep(&mut self) {
        let now = self.now;
        for invitation in &mut self.invitations {
            if invitation.state(now) == "expired" {
                invitation.end("expired", now);
            }
        }
    }

    pub fn enable(&mut self, user: usize, enabled: bool) -> u16 {
        if self.users[user].deleted {
            return 404;
        }
        if self.users[user].enabled && !enabled {
            self.end_of(user);
        }
        self.users[user].enabled = enabled;
        200
    }

    pub fn delete(&mut self, user: usize) -> u16 {
        let User {
            deleted,
            has_devices,
            ..
        } = self.users[user];
        if deleted {
            return 404;
        }
        if has_devices {
            return 409;
        }
        self.end_of(user);
        self.users[user].deleted = true;
        204
    }

    fn end_of(&mut self, user: usize) {
        let now = self.now;
        for invitation in self.invitations.iter_mut().filter(|of| of.user == user) {
            invitation.end("revoked", now);
        }
    }

    /// Learns the ids of new messages, which nothing but the service gives: ids are in the order of their making.
    pub fn learn(&mut self, invitation: Uuid, ids: &[Uuid]) {
        let known = self.invitations.iter_mut().find(|of| of.id == invitation);
        for (message, id) in known.unwrap().messages.iter_mut().zip(ids) {
            assert!(message.id.is_nil() || message.id == *id);
            message.id = *id;
        }
    }

    /// All of it, in the order of its making.
    pub fn shown(&self) -> Vec<Shown> {
        let shown = self.invitations.iter().map(|invitation| Shown {
            invitation: invitation.id,
            state: invitation.state.to_owned(),
            counter: invitation.counter,
            resend_count: invitation.resend_count,
            pin_issued_at: invitation.pin_issued_at,
            messages: (invitation.messages.iter())
                .map(|message| {
                    let due = (!message.is_over()).then_some(message.due_at);
                    (message.state.to_owned(), message.attempts, due)
                })
                .collect(),
        });
        shown.collect()
    }

    /// What a batch's counts must be: queued (and being sent), accepted, deferred, failed, suppressed.
    pub fn counts(&self, batch: &Batch) -> [usize; 5] {
        let messages = self.invitations.iter().flat_map(|of| &of.messages);
        let states: Vec<&str> = messages
            .filter(|message| message.batch == Some(batch.id))
            .map(|message| message.state)
            .collect();
        let count = |wanted: &[&str]| states.iter().filter(|state| wanted.contains(state)).count();
        [
            count(&["queued", "sending"]),
            count(&["accepted"]),
            count(&["deferred"]),
            count(&["failed"]),
            count(&["suppressed"]),
        ]
    }
}
