//! Time and ids, as something that is passed in: a test can hold the clock, and clippy bans the rest.

use std::sync::{Arc, Mutex, PoisonError};

use chrono::{DateTime, SubsecRound, Utc};
use uuid::{ContextV7, Timestamp, Uuid};

/// Where `now` and new ids come from. Clones share one clock.
#[derive(Clone)]
pub struct Clock(Arc<Inner>);

struct Inner {
    /// `None`: the system's clock.
    held: Option<Mutex<DateTime<Utc>>>,
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
            ids: Mutex::new(ContextV7::new()),
        }))
    }

    /// The time in UTC, in whole microseconds: what Postgres keeps, so that a time reads back equal.
    pub fn now(&self) -> DateTime<Utc> {
        let now = match &self.0.held {
            Some(held) => *held.lock().unwrap_or_else(PoisonError::into_inner),
            #[allow(clippy::disallowed_methods)] // The one place that may ask.
            None => Utc::now(),
        };
        now.trunc_subsecs(6)
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
    fn ids_of_one_instant_are_ordered_and_carry_the_clocks_time() {
        let clock = Clock::fixed(DateTime::from_timestamp(1_800_000_000, 123_456_789).unwrap());
        let ids: Vec<Uuid> = (0..10_000).map(|_| clock.new_id()).collect();
        assert!(ids.is_sorted());
        let (seconds, _) = ids[0].get_timestamp().unwrap().to_unix();
        assert_eq!(seconds, 1_800_000_000);
        assert_eq!(clock.now().timestamp_subsec_nanos(), 123_456_000);
    }
}
