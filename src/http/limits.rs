//! How often somebody may call: each client address (ENLIST_LIMIT_CLIENT), each key (ENLIST_LIMIT_KEY), and in front of
//! everything that can be guessed (ENLIST_LIMIT_SECRETS).

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use chrono::{DateTime, Utc};
use governor::{
    Quota, RateLimiter,
    middleware::StateInformationMiddleware,
    nanos::Nanos,
    state::{InMemoryState, NotKeyed},
};
use moka::future::Cache;
use uuid::Uuid;

use super::error::ApiError;
use crate::clock::Clock;

/// How many callers are remembered. Whoever has more addresses than this is not stopped by counting
/// addresses: the locks of PINs and passwords do that.
const REMEMBERED: u64 = 100_000;
/// No allowance takes longer to fill up again: who is forgotten has nothing to be remembered for.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// Seconds' worth of requests that may come at once, where secrets are guessed.
const BURST: u32 = 10;

/// Test mails a minute, which go to any address: for each caller,
const TESTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(4);
/// and for all together.
const ALL_TESTS: NonZeroU32 = NonZeroU32::MIN.saturating_add(9);

/// Requests a second.
#[derive(Debug, Clone, Copy)]
pub struct Rates {
    /// For each client address, of everything that comes without a key that is known.
    pub client: NonZeroU32,
    /// For each key.
    pub key: NonZeroU32,
    /// For each client address, where secrets are taken; ten times as many at once.
    pub secrets: NonZeroU32,
}

/// Who calls, as far as counting goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Client(IpAddr),
    Secrets(IpAddr),
    Key(Uuid),
    /// Test mails of one caller, or of all.
    Tests(Option<Uuid>),
}

type Limiter = RateLimiter<NotKeyed, InMemoryState, Elapsed, StateInformationMiddleware>;

/// The time that has passed, as far as allowances go. Never goes back: a clock that was set back goes on from where it
/// is, and whoever waits for an allowance waits no longer for it.
#[derive(Clone)]
struct Elapsed {
    clock: Clock,
    /// When it was looked at last, and how much had passed by then.
    last: Arc<Mutex<(DateTime<Utc>, Duration)>>,
}

impl Elapsed {
    fn new(clock: Clock) -> Self {
        Self {
            last: Arc::new(Mutex::new((clock.now(), Duration::ZERO))),
            clock,
        }
    }
}

impl governor::clock::Clock for Elapsed {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        let (seen, passed) = *last;
        // All allowances are full after that long: more makes no difference, however far a clock is set forward.
        let since = (now - seen)
            .to_std()
            .unwrap_or_default()
            .min(FORGOTTEN_AFTER);
        *last = (now, passed.saturating_add(since));
        last.1.into()
    }
}

/// What is left of everybody's allowance. Kept by this instance alone; clones share it.
#[derive(Clone)]
pub struct Limits {
    seen: Cache<Source, Arc<Limiter>>,
    rates: Rates,
    clock: Elapsed,
}

/// What is left to one caller after a request was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    policy: &'static str,
    /// How many may come at once,
    quota: u32,
    /// and seconds until they may come again.
    window: u32,
    remaining: u32,
    /// Seconds until the next one is taken. `None`: this one is.
    refused_for: Option<u32>,
}

impl Standing {
    /// # Errors
    /// 429 with `Retry-After`.
    pub fn check(&self) -> Result<(), ApiError> {
        self.refused_for.map_or(Ok(()), |seconds| {
            Err(ApiError {
                retry_after: Some(seconds),
                ..ApiError::new(
                    429,
                    "rate_limited",
                    "Too many requests from here; slow down and try again after `Retry-After` seconds.",
                )
            })
        })
    }

    /// The value of `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers).
    pub fn policy(&self) -> String {
        format!("\"{}\";q={};w={}", self.policy, self.quota, self.window)
    }

    /// The value of `RateLimit`: how many more may come, and in how many seconds there are more.
    pub fn left(&self) -> String {
        let used = self.quota.saturating_sub(self.remaining);
        let refill = (used * self.window).div_ceil(self.quota.max(1));
        let seconds = self.refused_for.unwrap_or(refill);
        format!("\"{}\";r={};t={seconds}", self.policy, self.remaining)
    }
}

impl Limits {
    /// Nobody has called yet.
    pub fn new(rates: Rates, clock: Clock) -> Self {
        Self {
            seen: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_idle(FORGOTTEN_AFTER)
                .build(),
            rates,
            clock: Elapsed::new(clock),
        }
    }

    /// Counts a request of somebody who is not known.
    pub async fn count_client(&self, address: Option<IpAddr>) -> Standing {
        let quota = Quota::per_second(self.rates.client);
        self.count("client", Source::Client(network(address)), quota, 1)
            .await
    }

    /// Counts a public request that may guess at something.
    pub async fn count_guess(&self, address: Option<IpAddr>) -> Standing {
        let rate = self.rates.secrets;
        let burst = rate.saturating_mul(NonZeroU32::new(BURST).unwrap_or(rate));
        let quota = Quota::per_second(rate).allow_burst(burst);
        self.count("secrets", Source::Secrets(network(address)), quota, BURST)
            .await
    }

    /// Counts a request with a key or in a session.
    pub async fn count_key(&self, key: Uuid) -> Standing {
        let quota = Quota::per_second(self.rates.key);
        self.count("key", Source::Key(key), quota, 1).await
    }

    /// Counts a test mail of a caller.
    ///
    /// # Errors
    /// 429 with `Retry-After`, for this caller or because all together want too many.
    pub async fn count_test(&self, caller: Uuid) -> Result<(), ApiError> {
        for (source, most) in [(Some(caller), TESTS), (None, ALL_TESTS)] {
            let quota = Quota::per_minute(most);
            let standing = self.count("tests", Source::Tests(source), quota, 60).await;
            standing.check()?;
        }
        Ok(())
    }

    async fn count(
        &self,
        policy: &'static str,
        source: Source,
        quota: Quota,
        window: u32,
    ) -> Standing {
        let limiter = self
            .seen
            .get_with(source, async {
                Arc::new(
                    RateLimiter::direct_with_clock(quota, self.clock.clone()).with_middleware(),
                )
            })
            .await;
        let (remaining, refused_for) = match limiter.check() {
            Ok(state) => (state.remaining_burst_capacity(), None),
            Err(not_until) => {
                let wait = not_until.wait_time_from(governor::clock::Clock::now(&self.clock));
                let begun = u64::from(wait.subsec_nanos() > 0);
                let seconds = u32::try_from(wait.as_secs() + begun).unwrap_or(u32::MAX);
                (0, Some(seconds.max(1)))
            }
        };
        Standing {
            policy,
            quota: quota.burst_size().get(),
            window,
            remaining,
            refused_for,
        }
    }
}

/// What one subscriber has: an IPv4 address, or a /64 of IPv6 (RFC 6177). Without an address, as behind a Unix socket,
/// all are one.
fn network(address: Option<IpAddr>) -> IpAddr {
    match address.map(|address| address.to_canonical()) {
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        Some(address) => address,
        None => Ipv6Addr::UNSPECIFIED.into(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    fn limits(client: u32, key: u32, secrets: u32) -> (Limits, Clock) {
        let rate = |rate| NonZeroU32::new(rate).unwrap();
        let clock = Clock::fixed(DateTime::from_timestamp(1_800_000_000, 0).unwrap());
        let rates = Rates {
            client: rate(client),
            key: rate(key),
            secrets: rate(secrets),
        };
        (Limits::new(rates, clock.clone()), clock)
    }

    #[tokio::test]
    async fn ten_guesses_come_at_once_and_the_next_is_told_when() {
        let (limits, clock) = limits(2, 1, 1);
        let here = Some("192.0.2.1".parse().unwrap());
        let first = limits.count_guess(here).await;
        first.check().unwrap();
        assert_eq!(first.policy(), "\"secrets\";q=10;w=10");
        assert_eq!(first.left(), "\"secrets\";r=9;t=1");
        for _ in 0..9 {
            limits.count_guess(here).await.check().unwrap();
        }
        let standing = limits.count_guess(here).await;
        assert_eq!(standing.left(), "\"secrets\";r=0;t=1");
        let refused = standing.check().unwrap_err();
        assert_eq!((refused.status, refused.code), (429, "rate_limited"));
        assert_eq!(refused.retry_after, Some(1));
        // Others, and other things, are counted by themselves.
        let elsewhere = Some("192.0.2.2".parse().unwrap());
        limits.count_guess(elsewhere).await.check().unwrap();
        limits.count_client(here).await.check().unwrap();
        limits.count_client(here).await.check().unwrap();
        assert!(limits.count_client(here).await.check().is_err());
        limits.count_key(Uuid::nil()).await.check().unwrap();
        assert!(limits.count_key(Uuid::nil()).await.check().is_err());
        // As long as it was told, and no longer.
        clock.advance(TimeDelta::milliseconds(999));
        assert!(limits.count_guess(here).await.check().is_err());
        clock.advance(TimeDelta::milliseconds(1));
        limits.count_guess(here).await.check().unwrap();
        assert!(limits.count_guess(here).await.check().is_err());
    }

    #[tokio::test]
    async fn a_clock_that_is_set_anew_locks_nobody_out_and_lets_nobody_in() {
        let (limits, clock) = limits(1, 1, 1);
        for set in [
            TimeDelta::hours(-1),
            TimeDelta::days(-365 * 700),
            TimeDelta::days(365 * 1_400),
            TimeDelta::zero(),
        ] {
            clock.advance(TimeDelta::seconds(10));
            for _ in 0..10 {
                limits.count_guess(None).await.check().unwrap();
            }
            clock.advance(set);
            // Set forward, the clock gives what it gives to whoever waits: a full allowance, and no more.
            let more = if set > TimeDelta::zero() { 10 } else { 0 };
            for _ in 0..more {
                limits.count_guess(None).await.check().unwrap();
            }
            let refused = limits.count_guess(None).await.check().unwrap_err();
            assert_eq!(refused.retry_after, Some(1), "{set}");
            clock.advance(TimeDelta::seconds(1));
            limits.count_guess(None).await.check().unwrap();
        }
    }

    #[test]
    fn a_subscriber_is_one_however_many_addresses_it_has() {
        let of = |text: &str| network(Some(text.parse().unwrap()));
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
