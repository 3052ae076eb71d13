//! Time and ids, as something that is passed in: a test can hold the clock, and clippy bans the rest.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use rustix::time::{ClockId, clock_gettime};
use uuid::{ContextV7, Timestamp, Uuid};

/// A difference between two clocks that is not worth a step.
const UNSEEN: TimeDelta = TimeDelta::milliseconds(100);

/// Where `now` and new ids come from. Clones share one clock.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

/// A moment of this machine, which nobody sets back or forth: the time since it was started, with what it slept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(TimeDelta);

impl Moment {
    /// This one.
    pub fn now() -> Self {
        let since_start = clock_gettime(ClockId::Boottime);
        let nanoseconds = u32::try_from(since_start.tv_nsec).unwrap_or(0);
        Self(TimeDelta::new(since_start.tv_sec, nanoseconds).unwrap_or_default())
    }

    /// How long ago it was.
    pub fn elapsed(self) -> TimeDelta {
        Self::now().0 - self.0
    }
}

struct Inner {
    /// `None`: the system's clock.
    held: Option<Mutex<DateTime<Utc>>>,
    /// The time somewhere else at a moment here: it is gone by from then on. `None`: this machine's own.
    followed: Mutex<Option<(Moment, DateTime<Utc>)>>,
    /// Keeps ids of one millisecond in the order in which they were made (RFC 9562 §6.2).
    ids: Mutex<ContextV7>,
}

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Self {
        Self::new(None)
    }

    /// A clock that stands still until [`Clock::advance`] moves it.
    pub fn fixed(now: DateTime<Utc>) -> Self {
        Self::new(Some(Mutex::new(now)))
    }

    fn new(held: Option<Mutex<DateTime<Utc>>>) -> Self {
        Self(Arc::new(Inner {
            held,
            followed: Mutex::new(None),
            ids: Mutex::new(ContextV7::new()),
        }))
    }

    /// The time in UTC, in whole microseconds: what Postgres keeps, so that a time reads back equal.
    pub fn now(&self) -> DateTime<Utc> {
        let now = match &self.0.held {
            Some(held) => *held.lock().unwrap_or_else(PoisonError::into_inner),
            None => match *self.followed() {
                Some((moment, time)) => time + moment.elapsed(),
                None => Self::own(),
            },
        };
        now.trunc_subsecs(6)
    }

    /// Goes by the clock on which it was this time at that moment: all instances go by the database's, so that none takes
    /// what another one still holds. Small differences are left alone, as time should not go back. A fixed clock stays as it
    /// is. Gives how far this machine's own clock is behind.
    pub fn follow(&self, moment: Moment, time: DateTime<Utc>) -> TimeDelta {
        let there = time + moment.elapsed();
        if self.0.held.is_none() && (there - self.now()).abs() > UNSEEN {
            *self.followed() = Some((moment, time));
        }
        there - Self::own()
    }

    fn followed(&self) -> MutexGuard<'_, Option<(Moment, DateTime<Utc>)>> {
        let followed = self.0.followed.lock();
        followed.unwrap_or_else(PoisonError::into_inner)
    }

    #[allow(clippy::disallowed_methods)] // The one place that may ask.
    fn own() -> DateTime<Utc> {
        Utc::now()
    }

    /// Moves a fixed clock on; the system's clock moves by itself and stays as it is.
    pub fn advance(&self, by: chrono::Duration) {
        if let Some(held) = &self.0.held {
            *held.lock().unwrap_or_else(PoisonError::into_inner) += by;
        }
    }

    /// A new UUIDv7: sorts by the time it was made.
    pub fn new_id(&self) -> Uuid {
        let now = self.now();
        let ids = self.0.ids.lock().unwrap_or_else(PoisonError::into_inner);
        let seconds = u64::try_from(now.timestamp()).unwrap_or(0);
        Uuid::new_v7(Timestamp::from_unix(
            &*ids,
            seconds,
            now.timestamp_subsec_nanos(),
        ))
    }
}

/// Bytes that nobody can guess, from the operating system.
///
/// # Errors
/// When the operating system has no randomness to give.
pub fn random_bytes<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut bytes = [0; N];
    #[allow(clippy::disallowed_methods)] // The one place that may ask.
    getrandom::fill(&mut bytes)?;
    Ok(bytes)
}

/// What comes before every id that is made from then on (RFC 9562 §5.7).
pub fn first_id_at(at: DateTime<Utc>) -> Uuid {
    let millis = u64::try_from(at.timestamp_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &[0; 10]).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_clock_is_followed_and_a_fixed_one_is_left_alone() {
        let clock = Clock::system();
        let there = clock.now() + TimeDelta::minutes(5);
        let behind = clock.follow(Moment::now(), there);
        assert!((behind - TimeDelta::minutes(5)).abs() < TimeDelta::seconds(1));
        assert!((clock.now() - there).abs() < TimeDelta::seconds(1));
        let before = clock.now();
        clock.follow(Moment::now(), before - TimeDelta::milliseconds(50));
        assert!(clock.now() >= before);
        let fixed = Clock::fixed(before);
        fixed.follow(Moment::now(), there + TimeDelta::days(1));
        assert_eq!(fixed.now(), before);
    }

    #[test]
    fn ids_of_one_instant_are_ordered_and_carry_the_clocks_time() {
        let clock = Clock::fixed(DateTime::from_timestamp(1_800_000_000, 123_456_789).unwrap());
        let ids: Vec<Uuid> = (0..10_000).map(|_| clock.new_id()).collect();
        assert!(ids.is_sorted());
        let (seconds, _) = ids[0].get_timestamp().unwrap().to_unix();
        assert_eq!(seconds, 1_800_000_000);
        assert_eq!(clock.now().timestamp_subsec_nanos(), 123_456_000);
    }
}
