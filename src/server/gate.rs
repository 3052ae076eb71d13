//! What happens around every request: its id, its log line, its span, panics, and the gate that
//! knows every route and lets only known callers through.

use std::{net::IpAddr, panic::AssertUnwindSafe, sync::Once, time::Instant};

use actix_web::{
    Error, HttpMessage, ResponseError,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method, StatusCode,
        header::{self, HeaderName, HeaderValue},
    },
    middleware::Next,
    web,
};
use futures_util::FutureExt;
use tracing::Instrument;

use super::{State, extract, routes::Match};
use crate::{
    access::{Caller, Permission, roles::Needs},
    audit::{
        Trail,
        domain::{Actor, ActorKind},
    },
    embedded::mailbox::is_local_host,
    error::{ApiError, More},
    limits::Standing,
};

tokio::task_local! {
    static REQUEST_ID: String;
}

/// In a request's extensions if it was a HEAD: for the handler whose body would never end.
pub struct HeadOnly;

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
/// Bytes of path and query. The longest of ours is a cursor with every filter.
const URI_LIMIT: usize = 8 * 1024;
/// Bytes of all headers.
const HEADERS_LIMIT: usize = 32 * 1024;
const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of the request that is being answered; `-` outside of one.
pub fn current_request_id() -> String {
    REQUEST_ID
        .try_with(Clone::clone)
        .unwrap_or_else(|_| "-".to_owned())
}

/// A caller's own request id is taken if it is short and cannot confuse a log.
fn is_sane(id: &str) -> bool {
    (1..=128).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':'))
}

/// Gives the request its id and span, turns a panic into a 500 and writes one line when it is done.
/// The line holds the route's pattern, never the path: a path can hold a token.
pub async fn observe<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let started = Instant::now();
    let given = request
        .headers()
        .get(X_REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| is_sane(id))
        .map(str::to_owned);
    let id = given.unwrap_or_else(|| {
        request
            .app_data::<web::Data<State>>()
            .map_or_else(|| "-".to_owned(), |state| state.clock.new_id().to_string())
    });
    let method = request.method().clone();
    let state = request.app_data::<web::Data<State>>().cloned();
    let answered = |route: Option<&str>, status: StatusCode| {
        if let Some(state) = &state {
            let metrics = &state.metrics;
            metrics.answered(route, method.as_str(), status.as_str(), started.elapsed());
        }
    };
    // HEAD is GET without the body (RFC 9110 §9.3.2); the server leaves the body out by itself.
    if method == Method::HEAD {
        request.head_mut().method = Method::GET;
        request.extensions_mut().insert(HeadOnly);
    }
    let span = tracing::info_span!("request", request_id = %id);

    let answer = REQUEST_ID
        .scope(
            id.clone(),
            AssertUnwindSafe(next.call(request)).catch_unwind(),
        )
        .instrument(span.clone())
        .await;
    let _entered = span.entered();
    // Tenths are enough, and read well.
    let latency_ms = (started.elapsed().as_secs_f64() * 1e4).round() / 10.0;
    match answer {
        Ok(Ok(response)) => {
            let mut response = REQUEST_ID.sync_scope(id.clone(), || as_problem(response));
            if let Ok(value) = HeaderValue::from_str(&id) {
                response.headers_mut().insert(X_REQUEST_ID, value);
            }
            let route = response.request().match_pattern();
            answered(route.as_deref(), response.status());
            log(&method, route.as_deref(), &response, latency_ms);
            Ok(response)
        }
        Ok(Err(error)) => {
            answered(None, error.as_response_error().status_code());
            Err(error)
        }
        Err(panic) => {
            let message = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
                .unwrap_or("(no message)");
            tracing::error!(%method, status = 500, latency_ms, panic = message, "a handler panicked");
            answered(None, StatusCode::INTERNAL_SERVER_ERROR);
            let mut error = ApiError::internal("panic");
            error.more = Some(Box::new(More {
                request_id: Some(id.into()),
                ..More::default()
            }));
            Err(error.into())
        }
    }
}

fn log<B>(method: &Method, route: Option<&str>, response: &ServiceResponse<B>, latency_ms: f64) {
    let status = response.status().as_u16();
    let request = response.request();
    let route = route.unwrap_or("-");
    let extensions = request.extensions();
    let caller = extensions.get::<Caller>().map(Caller::label);
    let caller = caller.as_deref().unwrap_or("-");
    let problem = response
        .response()
        .error()
        .and_then(|error| error.as_error::<ApiError>());
    match problem {
        Some(problem) if status >= 500 => {
            let cause = std::error::Error::source(problem).map(ToString::to_string);
            tracing::error!(%method, route, status, latency_ms, caller, code = problem.code, cause, "request failed");
        }
        Some(problem) => {
            tracing::info!(%method, route, status, latency_ms, caller, code = problem.code, "request refused");
        }
        None => tracing::info!(%method, route, status, latency_ms, caller, "request"),
    }
}

/// Refuses what no route answers (404, or 405 with `Allow`), whoever may not call the route (401, 403) and whoever calls
/// too often (429): before a body is read.
pub async fn gate<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let state = request.app_data::<web::Data<State>>().cloned();
    let Some(state) = state else {
        return Err(ApiError::internal("no state").into());
    };
    let peer = request.peer_addr().map(|address| address.ip());
    let from = state.proxies.client(peer, request.headers());
    if state.proxies.is_unknown(request.headers()) && !state.local_only {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            tracing::warn!(
                "a proxy says who calls, and is not believed: if it is yours, name it in ENLIST_TRUSTED_PROXIES; \
                 as it is, all that come through it share one client's limits"
            );
        });
    }
    let found = state.routes.find(request.method(), request.path());
    let mut visit = Visit {
        request: &request,
        state: &state,
        from,
        standing: None,
    };
    let admitted = visit.admit(&found).await;
    let standing = visit.standing;
    let mut response = match admitted {
        Ok(caller) => {
            let trail = Trail {
                actor: caller.as_ref().map_or(
                    Actor {
                        kind: ActorKind::Public,
                        id: None,
                        name: None,
                    },
                    Caller::actor,
                ),
                request_id: Some(current_request_id()),
                address: from,
                clock: state.clock.clone(),
            };
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            trail.scope(next.call(request)).await?.map_into_left_body()
        }
        Err(problem) => request.error_response(problem).map_into_right_body(),
    };
    let headers = response.headers_mut();
    // What is answered to a secret, right or wrong, is for nobody else.
    if let Match::Found {
        needs: Needs::Secret | Needs::SecretOr(_),
        ..
    } = found
    {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Some(standing) = standing {
        for (name, value) in [
            (RATE_LIMIT_POLICY, standing.policy()),
            (RATE_LIMIT, standing.left()),
        ] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
    Ok(response)
}

/// A request at the gate.
struct Visit<'a> {
    request: &'a ServiceRequest,
    state: &'a State,
    /// Where the client is.
    from: Option<IpAddr>,
    /// What is left to whoever it was counted for.
    standing: Option<Standing>,
}

impl Visit<'_> {
    async fn admit(&mut self, found: &Match) -> Result<Option<Caller>, ApiError> {
        let (request, state) = (self.request, self.state);
        let host = request.headers().get(header::HOST);
        let is_local = host
            .and_then(|host| host.to_str().ok())
            .is_some_and(is_local_host);
        if state.local_only && !is_local {
            return Err(ApiError::new(
                421,
                "misdirected_request",
                "`enlist dev` shows PINs and answers only as localhost, 127.0.0.1 or [::1].",
            ));
        }
        check_size(request)?;
        let (needs, takes_query) = match found {
            Match::Unknown => {
                self.count_client().await?;
                return Err(ApiError::not_found("path"));
            }
            Match::OtherMethods(allow) => {
                self.count_client().await?;
                return Err(ApiError::method_not_allowed(allow));
            }
            Match::Found { needs, takes_query } => (*needs, *takes_query),
        };
        let caller = match needs {
            Needs::Uncounted => return Ok(None),
            Needs::Nothing => {
                self.count_client().await?;
                return Ok(None);
            }
            Needs::SecretOr(permission)
                if request.headers().contains_key(header::AUTHORIZATION) =>
            {
                Some(self.known(Some(permission)).await?)
            }
            Needs::Secret | Needs::SecretOr(_) => {
                let standing = state.limits.count_guess(self.from).await;
                self.keep(standing)?;
                None
            }
            Needs::Token(permission) => Some(self.known(Some(permission)).await?),
            Needs::AnyToken => Some(self.known(None).await?),
        };
        if !takes_query {
            extract::refuse_query(request.query_string())?;
        }
        Ok(caller)
    }

    /// Whoever holds the request's bearer token, if that role may do this; without a permission, any role may, and also
    /// while the database is away. A token that was not seen lately is counted for the address that it comes from:
    /// trying tokens must not be a way to keep the database busy.
    async fn known(&mut self, permission: Option<Permission>) -> Result<Caller, ApiError> {
        let (access, now) = (&self.state.access, self.state.clock.now());
        let token = bearer(self.request.headers());
        if !token.is_some_and(|token| access.has_seen(token)) {
            self.count_client().await?;
        }
        let caller = match permission {
            Some(_) => access.authenticate(token, now).await?,
            None => access.recognize(token, now).await?,
        };
        let standing = self.state.limits.count_key(caller.id()).await;
        self.keep(standing)?;
        if let Some(permission) = permission {
            caller.require(permission)?;
        }
        Ok(caller)
    }

    async fn count_client(&mut self) -> Result<(), ApiError> {
        let standing = self.state.limits.count_client(self.from).await;
        self.keep(standing)
    }

    fn keep(&mut self, standing: Standing) -> Result<(), ApiError> {
        self.standing = Some(standing);
        standing.check()
    }
}

/// # Errors
/// 414 or 431 for what no client of ours needs: it would only be carried along.
fn check_size(request: &ServiceRequest) -> Result<(), ApiError> {
    let uri = request.uri().path_and_query();
    if uri.is_some_and(|uri| uri.as_str().len() > URI_LIMIT) {
        return Err(ApiError::new(
            414,
            "uri_too_long",
            format!(
                "The path and query are longer than {} KiB.",
                URI_LIMIT / 1024
            ),
        ));
    }
    let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    if request.headers().iter().map(size).sum::<usize>() > HEADERS_LIMIT {
        return Err(ApiError::new(
            431,
            "headers_too_large",
            format!(
                "The headers are larger than {} KiB together.",
                HEADERS_LIMIT / 1024
            ),
        ));
    }
    Ok(())
}

/// The token in `Authorization: Bearer …` (RFC 6750 §2.1).
pub fn bearer(headers: &header::HeaderMap) -> Option<&str> {
    headers
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim())
}

/// What the framework refused by itself, in the one envelope of all errors.
fn as_problem<B>(response: ServiceResponse<B>) -> ServiceResponse<EitherBody<B>> {
    let status = response.status();
    // The framework itself refuses in plain text; a page that says 404 is ours, and for people.
    let is_ours = response
        .headers()
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| {
            kind == "application/problem+json" || kind == "text/html; charset=utf-8"
        });
    if is_ours || !(status.is_client_error() || status.is_server_error()) {
        return response.map_into_left_body();
    }
    let detail = match response.response().error() {
        Some(error) => error.to_string(),
        None => format!("The service answers {status} to this."),
    };
    let code = match status {
        StatusCode::NOT_FOUND => "not_found",
        StatusCode::BAD_REQUEST if response.request().method() == Method::OPTIONS => "cors",
        status if status.is_client_error() => "bad_request",
        _ => "internal",
    };
    let mut problem = ApiError::new(status.as_u16(), code, detail).error_response();
    for (name, value) in response.headers() {
        if name != header::CONTENT_TYPE && name != header::CONTENT_LENGTH {
            problem.headers_mut().insert(name.clone(), value.clone());
        }
    }
    response.into_response(problem.map_into_right_body())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_sane_request_id_is_taken() {
        assert!(is_sane("a-1_B.2:3"));
        for bad in ["", "a b", "a\"b", "é", &"x".repeat(129)] {
            assert!(!is_sane(bad), "{bad}");
        }
    }
}
