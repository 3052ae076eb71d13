//! The request log: what came, and what was answered. It has a line for each request that the limits let through; what
//! they refuse is counted, since anybody may ask as often as they like, and so is what fails while the database is away; and a
//! probe that is well says nothing.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use actix_web::{HttpMessage, dev::ServiceResponse, http::StatusCode};
use chrono::{DateTime, TimeDelta, Utc};

use super::gate::Client;
use crate::{http::error::ApiError, model::caller::Caller};

/// A refusal of each kind has a line so often.
const REFUSALS_EVERY: TimeDelta = TimeDelta::seconds(1);
/// What others ask every few seconds.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// Writes the request log.
#[derive(Default)]
pub struct RequestLog {
    refusals: Mutex<HashMap<&'static str, Refused>>,
}

/// Refusals of one kind.
struct Refused {
    /// When one had a line,
    told: DateTime<Utc>,
    /// and how many had none since.
    untold: u64,
}

impl RequestLog {
    /// Writes a line of an answer, if it is to have one. The line has the route's pattern, never the path.
    pub fn write<B>(
        &self,
        method: &str,
        route: Option<&str>,
        response: &ServiceResponse<B>,
        latency_ms: f64,
        now: DateTime<Utc>,
    ) {
        let status = response.status();
        let is_unavailable = status == StatusCode::SERVICE_UNAVAILABLE;
        let of_probe = route.is_some_and(|route| PROBES.contains(&route));
        let (is_probe, is_unready) = (status.is_success() && of_probe, is_unavailable && of_probe);
        let route = route.unwrap_or("-");
        let extensions = response.request().extensions();
        let caller = extensions.get::<Caller>().map(Caller::label);
        let caller = caller.as_deref().unwrap_or("-");
        let client = extensions.get::<Client>().map(|Client(client)| *client);
        let client = client.map(tracing::field::display);
        let problem = response
            .response()
            .error()
            .and_then(|error| error.as_error::<ApiError>());
        let is_refused = status == StatusCode::TOO_MANY_REQUESTS;
        let status = status.as_u16();
        match problem {
            Some(problem) if is_unready => {
                if let Some(untold) = self.count("unready", now) {
                    let cause = std::error::Error::source(problem).map(ToString::to_string);
                    tracing::info!(%method, route, status, latency_ms, client, caller, cause, untold, "not ready");
                }
            }
            // While the database is away every request fails for the same reason.
            Some(problem) if is_unavailable => {
                let code = problem.code;
                if let Some(untold) = self.count(code, now) {
                    let cause = std::error::Error::source(problem).map(ToString::to_string);
                    tracing::error!(%method, route, status, latency_ms, client, caller, code, cause, untold, "request failed");
                }
            }
            Some(problem) if status >= 500 => {
                let cause = std::error::Error::source(problem).map(ToString::to_string);
                tracing::error!(%method, route, status, latency_ms, client, caller, code = problem.code, cause, "request failed");
            }
            Some(problem) if is_refused => {
                let code = problem.code;
                if let Some(untold) = self.count(code, now) {
                    tracing::info!(%method, route, status, latency_ms, client, caller, code, untold, "request refused");
                }
            }
            Some(problem) => {
                tracing::info!(%method, route, status, latency_ms, client, caller, code = problem.code, "request refused");
            }
            None if is_probe => {
                tracing::debug!(%method, route, status, latency_ms, client, caller, "request");
            }
            None => tracing::info!(%method, route, status, latency_ms, client, caller, "request"),
        }
    }

    /// Counts a refusal of a kind. If it is to have a line: how many had none since the last one.
    fn count(&self, kind: &'static str, now: DateTime<Utc>) -> Option<u64> {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        match refusals.get_mut(kind) {
            // A clock that was set back silences nobody.
            Some(refused)
                if (TimeDelta::zero()..REFUSALS_EVERY).contains(&(now - refused.told)) =>
            {
                refused.untold += 1;
                None
            }
            known => {
                let untold = known.map_or(0, |refused| refused.untold);
                refusals.insert(
                    kind,
                    Refused {
                        told: now,
                        untold: 0,
                    },
                );
                Some(untold)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_of_a_kind_have_a_line_a_second() {
        let log = RequestLog::default();
        let at = |ms: i64| DateTime::UNIX_EPOCH + TimeDelta::milliseconds(ms);
        let table = [
            ("rate_limited", 0, Some(0)),
            ("rate_limited", 1, None),
            ("too_many_streams", 1, Some(0)),
            ("rate_limited", 999, None),
            ("rate_limited", 1_000, Some(2)),
            ("rate_limited", 1_500, None),
            ("rate_limited", 500, Some(1)),
            ("rate_limited", 9_000, Some(0)),
        ];
        for (kind, ms, told) in table {
            assert_eq!(log.count(kind, at(ms)), told, "{kind} at {ms}");
        }
    }
}
