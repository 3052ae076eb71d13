//! What happens around every request: its id, its span, its log line, its place in the metrics, and the end of a panic.

use std::{panic::AssertUnwindSafe, time::Instant};

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

use super::{draining::Draining, request_log::RequestLog};
use crate::{
    http::{
        error::{ApiError, More},
        extract::HeadOnly,
        request_id,
        trace::Trace,
    },
    metrics::known_method,
    state::State,
};

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

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
    let method = known_method(request.method().as_str());
    let state = request.app_data::<web::Data<State>>().cloned();
    let answered = |route: Option<&str>, status: StatusCode| {
        if let Some(state) = &state {
            let metrics = &state.metrics;
            metrics.answered(route, method, status.as_str(), started.elapsed());
        }
    };
    // HEAD is GET without the body (RFC 9110 §9.3.2); the server leaves the body out by itself.
    if method == Method::HEAD.as_str() {
        request.head_mut().method = Method::GET;
        request.extensions_mut().insert(HeadOnly);
    }
    // What others write down of the same is found by it.
    let trace = request
        .headers()
        .get(TRACEPARENT)
        .and_then(|value| Trace::read(value.to_str().ok()?));
    let span = match &trace {
        Some(trace) => {
            tracing::info_span!("request", request_id = %id, trace_id = trace.id)
        }
        None => tracing::info_span!("request", request_id = %id),
    };

    let answer = request_id::scope(
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
            let mut response = request_id::sync_scope(id.clone(), || as_problem(response));
            if let Ok(value) = HeaderValue::from_str(&id) {
                response.headers_mut().insert(X_REQUEST_ID, value);
            }
            let ours = trace.zip(state.as_ref()).map(|(trace, state)| {
                let (_, random) = state.clock.new_id().as_u64_pair();
                trace.with_parent(random)
            });
            if let Some(value) = ours.and_then(|ours| HeaderValue::from_str(&ours).ok()) {
                response.headers_mut().insert(TRACEPARENT, value);
            }
            if let Some(draining) = response
                .request()
                .app_data::<web::Data<Draining>>()
                .cloned()
            {
                draining.close_behind(&mut response);
            }
            let route = response.request().match_pattern();
            answered(route.as_deref(), response.status());
            if let Some(log) = response.request().app_data::<web::Data<RequestLog>>() {
                let now = state.as_ref().map(|state| state.clock.now());
                log.write(
                    method,
                    route.as_deref(),
                    &response,
                    latency_ms,
                    now.unwrap_or_default(),
                );
            }
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
