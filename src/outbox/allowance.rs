//! `ENLIST_MAIL_RATE`: how many messages may be claimed now, over all instances.
//!
//! All take from one row, in the transaction that claims. It holds the time up to which messages have been taken;
//! up to a second's worth may be taken at once, so that a queue that was empty does not begin with a burst.

use std::num::NonZeroU32;

use chrono::{DateTime, Duration, Utc};
use diesel::prelude::*;

use crate::{db::DbError, schema::mail_allowance as row};

/// What may be taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowed {
    /// How many messages.
    pub messages: usize,
    /// When there is at least one more after that.
    pub next_at: DateTime<Utc>,
    from: DateTime<Utc>,
    each: Duration,
}

fn allowed(taken_till: DateTime<Utc>, rate: NonZeroU32, now: DateTime<Utc>) -> Allowed {
    let each = Duration::nanoseconds(1_000_000_000 / i64::from(rate.get()));
    // Never more than the last second's worth, and a whole message for the slowest rate. Nothing was taken of a time that is
    // to come, but by a clock that was wrong.
    let from = taken_till.clamp(now - Duration::seconds(1), now);
    let free = (now - from).num_nanoseconds().unwrap_or(0).max(0);
    let messages = usize::try_from(free / each.num_nanoseconds().unwrap_or(1).max(1)).unwrap_or(0);
    Allowed {
        messages,
        next_at: from + each,
        from,
        each,
    }
}

impl Allowed {
    fn taken_till(&self, messages: usize) -> DateTime<Utc> {
        self.from + self.each * i32::try_from(messages).unwrap_or(i32::MAX)
    }

    /// When there is one more, once so many of them were taken.
    pub fn next_after(&self, messages: usize) -> DateTime<Utc> {
        self.taken_till(messages) + self.each
    }
}

/// What may be taken now; held until the end of the transaction.
///
/// # Errors
/// When the database is away.
pub fn look(
    connection: &mut PgConnection,
    rate: NonZeroU32,
    now: DateTime<Utc>,
) -> Result<Allowed, DbError> {
    let taken_till: DateTime<Utc> = row::table
        .select(row::taken_till)
        .for_no_key_update()
        .first(connection)?;
    Ok(allowed(taken_till, rate, now))
}

/// Takes so many of what was allowed.
///
/// # Errors
/// When the database is away.
pub fn take(
    connection: &mut PgConnection,
    allowed: Allowed,
    messages: usize,
) -> Result<(), DbError> {
    if messages > 0 {
        diesel::update(row::table)
            .set(row::taken_till.eq(allowed.taken_till(messages)))
            .execute(connection)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn start() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[test]
    fn a_second_of_rest_gives_a_seconds_worth_and_no_more() {
        let rate = NonZeroU32::new(10).unwrap();
        let long_ago = allowed(DateTime::UNIX_EPOCH, rate, start());
        assert_eq!(long_ago.messages, 10);
        let all = long_ago.taken_till(10);
        let none = allowed(all, rate, start());
        assert_eq!(
            (none.messages, none.next_at),
            (0, start() + Duration::milliseconds(100))
        );
        let soon = allowed(all, rate, start() + Duration::milliseconds(250));
        assert_eq!(soon.messages, 2);
        assert_eq!(soon.next_after(2), start() + Duration::milliseconds(300));
        // The slowest rate still sends.
        let slow = NonZeroU32::MIN;
        assert_eq!(allowed(DateTime::UNIX_EPOCH, slow, start()).messages, 1);
    }

    proptest! {
        /// However often and whenever instances ask, even with clocks that differ.
        #[test]
        fn no_window_has_more_than_its_worth(
            rate in 1_u32..500, asks in proptest::collection::vec((0_i64..3_000, 0_usize..50), 1..200)
        ) {
            let rate = NonZeroU32::new(rate).unwrap();
            let (mut till, mut now, mut taken) = (DateTime::UNIX_EPOCH, start(), 0);
            for (wait, wanted) in asks {
                now += Duration::milliseconds(wait);
                let may = allowed(till, rate, now);
                let count = may.messages.min(wanted);
                if count > 0 {
                    till = may.taken_till(count);
                    taken += count;
                }
            }
            let seconds = (now - start()).num_milliseconds() as f64 / 1_000.0;
            prop_assert!(taken as f64 <= (seconds + 1.0) * f64::from(rate.get()) * 1.001 + 1.0);
        }
    }
}
