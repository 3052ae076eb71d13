//! How results become answers.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
};
use serde::Serialize;
use url::form_urlencoded;

use super::{etag, extract::tags, idempotent::Answer, paging::WrittenPage};

/// A single resource with its `ETag`; 304 when the client has it already (`If-None-Match`).
pub fn resource(request: &HttpRequest, value: &impl Serialize) -> HttpResponse {
    let tag = etag::of(value);
    let unchanged = request.method() == actix_web::http::Method::GET
        && tags(request, header::IF_NONE_MATCH).is_some_and(|tags| tags.has(&tag));
    if unchanged {
        return HttpResponse::NotModified()
            .insert_header((header::ETAG, tag))
            .finish();
    }
    HttpResponse::Ok()
        .insert_header((header::ETAG, tag))
        .json(value)
}

/// A page, with a `Link` to the next one (RFC 8288).
pub fn page(request: &HttpRequest, page: WrittenPage) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    if let Some(cursor) = &page.next_cursor {
        let others = form_urlencoded::parse(request.query_string().as_bytes())
            .filter(|(name, _)| name != "cursor");
        let query = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(others)
            .append_pair("cursor", cursor)
            .finish();
        let link = format!("<{}?{query}>; rel=\"next\"", request.path());
        response.insert_header((header::LINK, link));
    }
    response.content_type("application/json").body(page.body)
}

/// An answer that may have been stored under an idempotency key.
pub fn answer(answer: Answer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::build(status);
    if let Some(location) = &answer.location {
        response.insert_header((header::LOCATION, location.as_str()));
    }
    if answer.replayed {
        response.insert_header(("Idempotent-Replayed", "true"));
    }
    response.content_type("application/json").body(answer.body)
}
