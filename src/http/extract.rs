//! What handlers take: a body, a query, who calls, each parsed with all its faults at once.

use std::time::Duration;

use actix_web::{
    FromRequest, HttpMessage, HttpRequest,
    dev::Payload,
    http::header::{self, HeaderMap},
    web::{Bytes, BytesMut},
};
use deserr::Deserr;
use futures_util::{StreamExt, future::LocalBoxFuture};
use serde_json::{Map, Value};

use super::{error::ApiError, etag::Tags, json};
use crate::model::{
    caller::Caller,
    wire::{self, Fault, Faults, MOST_FAULTS, QueryTypes},
};

/// The usual limit of a body, in bytes.
pub const SMALL: usize = 256 * 1024;
/// The limit where anybody may send a secret, in bytes: as much as the longest names, secrets and labels can take.
pub const SECRET: usize = 16 * 1024;
/// The limit where a selection of users is taken, in bytes.
pub const SELECTION: usize = 8 * 1024 * 1024;

/// A body may have a member or an element for so many bytes of its limit: as many as ids, which are the shortest of which many
/// are taken.
const BYTES_A_VALUE: usize = 32;

/// A client that dribbles its body in must not hold a place for ever.
const BODY_TIME: Duration = Duration::from_secs(30);

/// A JSON body of at most `LIMIT` bytes, and its bytes as they came (for the fingerprint of an
/// idempotency key).
pub struct Body<T, const LIMIT: usize = SMALL> {
    /// The parsed body.
    pub value: T,
    /// The body as it was sent.
    pub bytes: Bytes,
}

impl<T: Deserr<Faults> + 'static, const LIMIT: usize> FromRequest for Body<T, LIMIT> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let headers_fit = check_headers(request, LIMIT);
        let payload = payload.take();
        Box::pin(async move {
            headers_fit?;
            let bytes = arrived(payload, LIMIT).await?;
            let value = parsed(&bytes, LIMIT)?;
            Ok(Self { value, bytes })
        })
    }
}

/// A JSON body that may be left out altogether, or be `null`: then it is what `{}` would be.
pub struct OptionalBody<T> {
    /// The parsed body.
    pub value: T,
    /// The body as it was sent.
    pub bytes: Bytes,
}

impl<T: Deserr<Faults> + Default + 'static> FromRequest for OptionalBody<T> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let headers_fit = check_headers(request, SMALL);
        let payload = payload.take();
        Box::pin(async move {
            let bytes = arrived(payload, SMALL).await?;
            if bytes.is_empty() {
                return Ok(Self {
                    value: T::default(),
                    bytes,
                });
            }
            headers_fit?;
            let value: Option<T> = parsed(&bytes, SMALL)?;
            Ok(Self {
                value: value.unwrap_or_default(),
                bytes,
            })
        })
    }
}

/// A mail as it came, of at most `LIMIT` bytes.
pub struct Mail<const LIMIT: usize>(pub Bytes);

impl<const LIMIT: usize> FromRequest for Mail<LIMIT> {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let is_mail = media_type(request.headers()) == "message/rfc822";
        let fits = check_length(request.headers(), LIMIT);
        let payload = payload.take();
        Box::pin(async move {
            if !is_mail {
                return Err(ApiError::new(
                    415,
                    "unsupported_media_type",
                    "Send the whole mail as it came, with `Content-Type: message/rfc822`.",
                ));
            }
            fits?;
            Ok(Self(arrived(payload, LIMIT).await?))
        })
    }
}

/// The whole body, within its time.
async fn arrived(payload: Payload, limit: usize) -> Result<Bytes, ApiError> {
    tokio::time::timeout(BODY_TIME, read(payload, limit))
        .await
        .map_err(|_| ApiError::new(408, "request_timeout", "The body did not arrive in time."))?
}

fn parsed<T: Deserr<Faults>>(bytes: &[u8], limit: usize) -> Result<T, ApiError> {
    let (value, repeated) = json::read(bytes, limit / BYTES_A_VALUE)
        .map_err(|detail| ApiError::new(400, "malformed_json", detail))?;
    typed(value, repeated)
}

/// The type that a value is read into, if nothing is wrong with it, and nothing was before.
fn typed<T: Deserr<Faults>>(value: Value, mut faults: Vec<Fault>) -> Result<T, ApiError> {
    match wire::parse(value) {
        Ok(value) if faults.is_empty() => Ok(value),
        Ok(_) => Err(faults.into()),
        Err(more) => {
            faults.extend(more);
            faults.truncate(MOST_FAULTS);
            Err(faults.into())
        }
    }
}

/// In lower case, without its parameters.
fn media_type(headers: &HeaderMap) -> String {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase()
}

fn check_headers(request: &HttpRequest, limit: usize) -> Result<(), ApiError> {
    let media_type = media_type(request.headers());
    let is_json = media_type == "application/json"
        || (media_type.starts_with("application/") && media_type.ends_with("+json"));
    if !is_json {
        return Err(ApiError::new(
            415,
            "unsupported_media_type",
            "Send the body as JSON, with `Content-Type: application/json`.",
        ));
    }
    check_charset(request)?;
    check_length(request.headers(), limit)
}

/// JSON is in UTF-8 (RFC 8259 §8.1); some say so, and some say something else.
fn check_charset(request: &HttpRequest) -> Result<(), ApiError> {
    let kind = request.mime_type().ok().flatten();
    let charset = kind.as_ref().and_then(|kind| kind.get_param("charset"));
    let is_utf_8 = |charset: &str| {
        ["utf-8", "utf8", "us-ascii", "ascii"]
            .iter()
            .any(|name| name.eq_ignore_ascii_case(charset))
    };
    match charset {
        Some(charset) if !is_utf_8(charset.as_str()) => {
            let charset: String = charset.as_str().chars().take(40).collect();
            Err(ApiError::new(
                415,
                "unsupported_media_type",
                format!("The body is said to be in `{charset}`; send JSON in UTF-8."),
            ))
        }
        _ => Ok(()),
    }
}

fn check_length(headers: &HeaderMap, limit: usize) -> Result<(), ApiError> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large(limit));
    }
    Ok(())
}

fn too_large(limit: usize) -> ApiError {
    ApiError::new(
        413,
        "payload_too_large",
        format!(
            "The body is larger than {} KiB, which is the limit here.",
            limit / 1024
        ),
    )
}

async fn read(mut payload: Payload, limit: usize) -> Result<Bytes, ApiError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| {
            ApiError::new(
                400,
                "malformed_body",
                format!("The body could not be read: {error}."),
            )
        })?;
        if body.len() + chunk.len() > limit {
            return Err(too_large(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// In a request's extensions if it was a HEAD: for the handler whose body would never end.
pub struct HeadOnly;

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

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        // The gate put it there; a route without the gate is a mistake of the service.
        let caller = request.extensions().get::<Self>().cloned();
        std::future::ready(
            caller.ok_or_else(|| {
                ApiError::internal("a protected route was reached without a caller")
            }),
        )
    }
}

/// The tags in `If-Match` or `If-None-Match`, of all its lines, if the header is there. What cannot be
/// read stays as a tag that matches nothing: a condition must not vanish.
pub fn tags(request: &HttpRequest, name: header::HeaderName) -> Option<Tags> {
    let lines: Vec<_> = request
        .headers()
        .get_all(name)
        .map(|value| String::from_utf8_lossy(value.as_bytes()))
        .collect();
    (!lines.is_empty()).then(|| Tags::parse(&lines.join(",")))
}

/// The query's parameters.
pub struct Params<T>(pub T);

impl<T: Deserr<Faults> + QueryTypes> FromRequest for Params<T> {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        std::future::ready(parse_query(request.query_string()).map(Self))
    }
}

fn parse_query<T: Deserr<Faults> + QueryTypes>(query: &str) -> Result<T, ApiError> {
    let mut parameters = Map::new();
    let mut faults = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(name), Some(value)) = (decode(name), decode(value)) else {
            faults.push(Fault::new(
                "",
                "not_utf8",
                "the query is not percent-encoded UTF-8",
            ));
            continue;
        };
        let typed = if T::FLAGS.contains(&name.as_str()) {
            value
                .parse()
                .map_or_else(|_| Value::from(value), Value::Bool)
        } else if T::NUMBERS.contains(&name.as_str()) {
            value
                .parse::<i64>()
                .map_or_else(|_| Value::from(value), Value::from)
        } else {
            Value::from(value)
        };
        let pointer = format!("/{name}");
        if parameters.insert(name, typed).is_some() {
            faults.push(Fault::new(pointer, "repeated", "is given more than once"));
        }
    }
    typed(Value::Object(parameters), faults)
}

/// Refuses a query where none is taken: a mistyped option must not be ignored.
///
/// # Errors
/// 422 with every parameter.
pub fn refuse_query(query: &str) -> Result<(), ApiError> {
    let faults: Vec<Fault> = query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let name = pair.split('=').next().unwrap_or_default();
            let name: String = decode(name).unwrap_or_default().chars().take(100).collect();
            Fault::new(
                format!("/{name}"),
                "unknown_field",
                "this route takes no query parameters",
            )
        })
        .take(100)
        .collect();
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults.into())
    }
}

fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    percent_encoding::percent_decode_str(&spaced)
        .decode_utf8()
        .ok()
        .map(std::borrow::Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Deserr)]
    #[deserr(error = Faults, deny_unknown_fields)]
    struct Sample {
        #[deserr(default)]
        q: Option<String>,
        count: Option<bool>,
        #[deserr(default)]
        limit: Option<u8>,
    }

    impl QueryTypes for Sample {
        const FLAGS: &'static [&'static str] = &["count"];
        const NUMBERS: &'static [&'static str] = &["limit"];
    }

    #[test]
    fn a_query_is_typed_and_decoded() {
        let sample: Sample = parse_query("q=a%26b+%C3%A9&count=true&limit=7&").unwrap();
        assert_eq!(sample.q.as_deref(), Some("a&b é"));
        assert_eq!((sample.count, sample.limit), (Some(true), Some(7)));
    }

    #[test]
    fn every_fault_of_a_query_is_named() {
        let error = parse_query::<Sample>("q=a&q=b&count=yes&limit=x&nope=1&%ff=1").unwrap_err();
        let places: Vec<&str> = error
            .faults
            .iter()
            .map(|fault| fault.pointer.as_str())
            .collect();
        for pointer in ["/q", "/count", "/limit", "/nope", ""] {
            assert!(places.contains(&pointer), "{pointer} in {places:?}");
        }
    }
}
