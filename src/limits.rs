//! How often somebody may call: in front of everything that can be guessed (ENLIST_LIMIT_SECRETS), and for
//! each key of an MDM server (ENLIST_LIMIT_KEY).

use std::{
    net::{IpAddr, Ipv6Addr},
    num::NonZeroU32,
    sync::Arc,
    time::Duration,
};

use governor::{
    DefaultDirectRateLimiter, Quota, RateLimiter,
    clock::{Clock, DefaultClock},
};
use moka::future::Cache;
use uuid::Uuid;

use crate::error::ApiError;

/// How many callers are remembered. Whoever has more addresses than this is not stopped by counting
/// addresses: the locks of PINs and passwords do that.
const REMEMBERED: u64 = 100_000;
/// Longer than any allowance takes to fill up again: who is forgotten has nothing to be remembered for.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// Seconds' worth of requests that may come at once, where secrets are guessed.
const BURST: u32 = 10;

/// Who calls, as far as counting goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Address(IpAddr),
    Key(Uuid),
}

/// What is left of everybody's allowance. Kept by this instance alone.
pub struct Limits {
    seen: Cache<Source, Arc<DefaultDirectRateLimiter>>,
    secrets: Quota,
    key: Quota,
    clock: DefaultClock,
}

impl Limits {
    /// Requests a second: for each address where secrets are taken, and for each key.
    pub fn new(secrets: NonZeroU32, key: NonZeroU32) -> Self {
        Self {
            seen: Cache::builder()
                .max_capacity(REMEMBERED)
                .time_to_idle(FORGOTTEN_AFTER)
                .build(),
            secrets: Quota::per_second(secrets)
                .allow_burst(secrets.saturating_mul(NonZeroU32::new(BURST).unwrap_or(secrets))),
            key: Quota::per_second(key),
            clock: DefaultClock::default(),
        }
    }

    /// Counts a public request that may guess at something.
    ///
    /// # Errors
    /// 429 with `Retry-After`.
    pub async fn count_address(&self, address: Option<IpAddr>) -> Result<(), ApiError> {
        // Without an address, as behind a Unix socket, all count as one.
        let address = network(address.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED)));
        self.count(Source::Address(address), self.secrets).await
    }

    /// Counts a request with an API key.
    ///
    /// # Errors
    /// 429 with `Retry-After`.
    pub async fn count_key(&self, key: Uuid) -> Result<(), ApiError> {
        self.count(Source::Key(key), self.key).await
    }

    async fn count(&self, source: Source, quota: Quota) -> Result<(), ApiError> {
        let limiter = self
            .seen
            .get_with(source, async { Arc::new(RateLimiter::direct(quota)) })
            .await;
        limiter.check().map_err(|not_until| {
            let wait = not_until.wait_time_from(self.clock.now());
            ApiError {
                retry_after: Some(u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1)),
                ..ApiError::new(
                    429,
                    "rate_limited",
                    "Too many requests from here; slow down and try again after `Retry-After` seconds.",
                )
            }
        })
    }
}

/// What one subscriber has: an IPv4 address, or a /64 of IPv6 (RFC 6177).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(secrets: u32, key: u32) -> Limits {
        Limits::new(
            NonZeroU32::new(secrets).unwrap(),
            NonZeroU32::new(key).unwrap(),
        )
    }

    #[tokio::test]
    async fn ten_come_at_once_and_the_next_is_told_when() {
        let limits = limits(1, 1);
        let here = Some("192.0.2.1".parse().unwrap());
        for _ in 0..10 {
            limits.count_address(here).await.unwrap();
        }
        let refused = limits.count_address(here).await.unwrap_err();
        assert_eq!((refused.status, refused.code), (429, "rate_limited"));
        assert_eq!(refused.retry_after, Some(1));
        let elsewhere = Some("192.0.2.2".parse().unwrap());
        limits.count_address(elsewhere).await.unwrap();
        limits.count_key(Uuid::nil()).await.unwrap();
        assert!(limits.count_key(Uuid::nil()).await.is_err());
    }

    #[test]
    fn a_subscriber_is_one_however_many_addresses_it_has() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
