//! Who may ask the mailbox, and the headers that keep its answers private.

use actix_web::{
    Error,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Method,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
    middleware::Next,
};

use crate::http::error::ApiError;

/// Where the mailbox is.
pub(super) const PATH: &str = "/dev/mailbox";

/// For every answer.
const PRIVATE: [(HeaderName, HeaderValue); 6] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (
        header::REFERRER_POLICY,
        HeaderValue::from_static("no-referrer"),
    ),
    (
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        HeaderValue::from_static("same-origin"),
    ),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        HeaderValue::from_static("same-origin"),
    ),
];

/// For every answer but the page: nothing in it is ever run.
const INERT: HeaderValue =
    HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'; sandbox");

/// Whether a `Host` header (RFC 9110 §7.2) names this machine: `localhost`, `127.0.0.1` or `[::1]`,
/// with any port. Whoever owns another name may have made it point here.
pub fn is_local_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        // The colon was one of an IPv6 address.
        Some((_, port)) if port.contains(']') => (host, ""),
        Some(parts) => parts,
        None => (host, ""),
    };
    let names = ["localhost", "127.0.0.1", "[::1]"];
    port.bytes().all(|byte| byte.is_ascii_digit())
        && names.iter().any(|local| name.eq_ignore_ascii_case(local))
}

/// The `Host` header, if there is exactly one.
fn host(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(header::HOST);
    let host = hosts.next()?.to_str().ok()?;
    hosts.next().is_none().then_some(host)
}

/// Refuses foreign names, and whatever another site made the browser send. Only the page itself may be
/// opened from elsewhere, by a link: it holds nobody's secrets.
fn check_caller(request: &ServiceRequest) -> Result<(), ApiError> {
    let headers = request.headers();
    let asked = host(headers).filter(|host| is_local_host(host));
    // A proxy's form of a request (RFC 9112 §3.2.2) names the host a second time.
    let named = request.uri().host().is_none_or(is_local_host);
    let Some(host) = asked.filter(|_| named) else {
        return Err(ApiError::new(
            421,
            "misdirected_request",
            "The mailbox shows PINs and answers only as localhost, 127.0.0.1 or [::1].",
        ));
    };
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    // Other ports of this machine are `same-site`, and just as foreign.
    let is_own = match text(header::HeaderName::from_static("sec-fetch-site")) {
        Some(site) => matches!(site, "same-origin" | "none"),
        None => text(header::ORIGIN).is_none_or(|origin| {
            origin
                .strip_prefix("http://")
                .is_some_and(|origin| origin.eq_ignore_ascii_case(host))
        }),
    };
    let is_page = request.method() == Method::GET && request.path().trim_end_matches('/') == PATH;
    if is_own || is_page {
        Ok(())
    } else {
        Err(ApiError::new(
            403,
            "cross_site_request",
            "Another site may not read or change the mailbox.",
        ))
    }
}

/// Lets through those who may ask, and marks every answer as private.
pub(super) async fn guard<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let mut response = match check_caller(&request) {
        Ok(()) => next.call(request).await?.map_into_left_body(),
        Err(problem) => request.error_response(problem).map_into_right_body(),
    };
    let headers = response.headers_mut();
    for (name, value) in PRIVATE {
        headers.insert(name, value);
    }
    if !headers.contains_key(header::CONTENT_SECURITY_POLICY) {
        headers.insert(header::CONTENT_SECURITY_POLICY, INERT);
    }
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_this_machine_are_local() {
        for local in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1",
            "127.0.0.1:1",
            "[::1]",
            "[::1]:65535",
        ] {
            assert!(is_local_host(local), "{local}");
        }
        for foreign in [
            "",
            "example.com",
            "localhost.example.com",
            "127.0.0.1.nip.io:8080",
            "localhost:8080@example.com",
            "localhost:x",
            "127.0.0.2",
            "0.0.0.0",
            "::1",
            "[::2]:80",
            "localhost:80:80",
        ] {
            assert!(!is_local_host(foreign), "{foreign}");
        }
    }
}
