//! When a refused message is tried again, and when no more. Pure.

use chrono::{DateTime, Duration, Utc};
use uuid::Uuid;

/// Seconds to wait after the first, second, … refusal; the last one stands for all that follow.
/// Each wait is shortened by up to a half, so that a thousand refused together do not return together.
const WAITS: [i64; 8] = [30, 60, 2 * 60, 5 * 60, 10 * 60, 20 * 60, 40 * 60, 60 * 60];

/// How long a message is tried at most, counted from when it was queued.
const TRIED_FOR: Duration = Duration::hours(48);

/// When to try again after `attempts` tries; `None`: no more, because 48 h are over or the
/// invitation would have ended before.
pub fn next_try(
    message: Uuid,
    attempts: u32,
    queued_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Option<DateTime<Utc>> {
    let index = usize::try_from(attempts.saturating_sub(1)).unwrap_or(usize::MAX);
    let wait = WAITS[index.min(WAITS.len() - 1)] * 1_000;
    // The end of a UUIDv7 is random (RFC 9562 §5.7): jitter that needs no further randomness.
    let seed = message.as_u128() as u64 ^ u64::from(attempts).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let jitter = (seed.rotate_left(17) % 1_000) as i64;
    let at = now + Duration::milliseconds(wait - wait * jitter / 2_000);
    (at < queued_at + TRIED_FOR && at < expires_at).then_some(at)
}

/// How long a message waits that the server did not look at: one to four seconds, another time for each.
pub fn soon(message: Uuid) -> Duration {
    Duration::milliseconds(1_000 + (message.as_u128() % 3_000) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn waits_grow_stay_in_bounds_and_end(id: u128, attempts in 1_u32..1_000, elapsed in 0_i64..50 * 3_600) {
            let queued = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
            let now = queued + Duration::seconds(elapsed);
            let far = queued + Duration::days(30);
            match next_try(Uuid::from_u128(id), attempts, queued, far, now) {
                Some(at) => {
                    let longest = WAITS[(attempts as usize - 1).min(7)];
                    let waited = (at - now).num_milliseconds();
                    prop_assert!(waited > longest * 500 - 1 && waited <= longest * 1_000);
                    prop_assert!(at < queued + TRIED_FOR);
                    prop_assert!(next_try(Uuid::from_u128(id), attempts, queued, at, now).is_none());
                }
                None => prop_assert!(elapsed >= 47 * 3_600),
            }
        }
    }
}
