//! How often a secret may be guessed (PRODUCT §3). Pure.
//!
//! The database counts, in the statement that also says whether a try may be looked at; what it counts
//! by is here.

use chrono::{DateTime, Utc};

/// After so many wrong tries there is a pause.
pub const ROUND: i32 = 5;

/// After so many wrong tries at an operator's name from all networks together there is one, too: more, so that one stranger
/// pauses one network, and it takes many to pause the name.
pub const EVERYWHERE: i32 = 4 * ROUND;

/// How long the pauses are, in seconds: doubling, and an hour from the eighth on.
pub const PAUSES: [i32; 8] = [30, 60, 120, 240, 480, 960, 1_920, 3_600];

/// Wrong PINs in an invitation's life, across its counters and the user's names: then no PIN is right any more, until
/// an administrator resends. Passwords have no end, only the pauses. NIST SP 800-63B §3.2.2 allows 100.
pub const MOST_PINS: i32 = 50;

/// What the chance to guess a PIN within those tries may be at most: one in so many.
const ODDS: i64 = 1_000;

/// What a client is told to wait where waiting does not help, in seconds.
const NO_USE: u32 = 3_600;

/// Wrong tries after which a PIN of so many digits is no longer looked at: fewer for short ones.
pub fn most_pins(digits: u8) -> i32 {
    let all = 10_i64.saturating_pow(digits.into());
    i32::try_from(all / ODDS).map_or(MOST_PINS, |most| most.clamp(1, MOST_PINS))
}

/// Whether a PIN of so many digits was guessed at so often that it is no longer looked at.
pub fn is_used_up(digits: i16, tries: i32) -> bool {
    tries >= most_pins(u8::try_from(digits).unwrap_or(u8::MAX))
}

/// Seconds to wait, for `Retry-After`.
pub fn retry_after(locked_until: Option<DateTime<Utc>>, now: DateTime<Utc>) -> u32 {
    let wait = locked_until.map(|end| (end - now).num_milliseconds());
    match wait.filter(|wait| *wait > 0) {
        Some(wait) => u32::try_from(wait.unsigned_abs().div_ceil(1_000)).unwrap_or(NO_USE),
        None => NO_USE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::Duration;

    #[test]
    fn pauses_double_to_an_hour() {
        for two in PAUSES.windows(2) {
            assert_eq!(two[1], (two[0] * 2).min(3_600));
        }
        assert_eq!((PAUSES[0], PAUSES[7]), (30, 3_600));
    }

    #[test]
    fn no_pin_is_guessed_with_more_than_one_chance_in_a_thousand() {
        assert_eq!(most_pins(4), 10);
        for digits in 4..=12 {
            let most = i64::from(most_pins(digits));
            assert!(most <= 50 && most * ODDS <= 10_i64.pow(digits.into()));
        }
        assert_eq!(most_pins(8), 50);
        assert!(is_used_up(4, 10) && !is_used_up(4, 9) && is_used_up(8, 50) && !is_used_up(8, 49));
    }

    #[test]
    fn waiting_is_told_in_whole_seconds() {
        let now = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let after = |millis| retry_after(Some(now + Duration::milliseconds(millis)), now);
        assert_eq!((after(1), after(1_000), after(29_001)), (1, 1, 30));
        assert_eq!(
            (after(0), after(-5), retry_after(None, now)),
            (NO_USE, NO_USE, NO_USE)
        );
    }
}
