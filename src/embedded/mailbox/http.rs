//! The routes of the mailbox.

use std::io;

use actix_web::{HttpResponse, middleware::from_fn, web};
use chrono::{DateTime, Utc};
use deserr::Deserr;
use serde::Serialize;
use uuid::Uuid;

use super::{
    envelope::{Envelope, without_envelope},
    gist::fold,
    guard::{PATH, guard},
    index::time_of,
    mail::Mail,
    page::page,
    store::Mailbox,
};
use crate::{
    http::{error::ApiError, extract::Params, resource::Id},
    model::{
        named::Named,
        wire::{Fault, Faults, QueryTypes, check_length},
    },
};

/// How long a search may be, in characters.
const LONGEST_SEARCH: usize = 200;

/// A mail that was caught.
struct Message;

impl Named for Message {
    const NAME: &'static str = "message";
}

/// Adds the mailbox at `/dev/mailbox`. Needs a `web::Data<Mailbox>`.
pub fn routes(config: &mut web::ServiceConfig) {
    config.service(
        web::scope(PATH)
            .wrap(from_fn(guard))
            .service(
                web::resource(["", "/"])
                    .get(page)
                    .default_service(web::to(|| refuse_method("GET, HEAD"))),
            )
            .service(
                web::resource("/messages")
                    .get(list)
                    .delete(clear)
                    .default_service(web::to(|| refuse_method("DELETE, GET, HEAD"))),
            )
            .service(
                web::resource("/messages/{id}")
                    .get(message)
                    .default_service(web::to(|| refuse_method("GET, HEAD"))),
            )
            .service(
                web::resource("/messages/{id}/source")
                    .get(source)
                    .default_service(web::to(|| refuse_method("GET, HEAD"))),
            )
            .service(
                web::resource("/events")
                    .get(events)
                    .default_service(web::to(|| refuse_method("GET, HEAD"))),
            )
            .default_service(web::to(|| async {
                Err::<HttpResponse, _>(ApiError::not_found("path"))
            })),
    );
}

async fn refuse_method(allow: &'static str) -> Result<HttpResponse, ApiError> {
    Err(ApiError::method_not_allowed(allow))
}

#[derive(Deserr)]
#[deserr(error = Faults, deny_unknown_fields)]
struct Search {
    #[deserr(default)]
    q: Option<String>,
    #[deserr(default)]
    after: Option<String>,
}

impl QueryTypes for Search {}

async fn list(
    mailbox: web::Data<Mailbox>,
    Params(search): Params<Search>,
) -> Result<HttpResponse, ApiError> {
    let mut faults = Vec::new();
    let q = search.q.unwrap_or_default();
    if let Err(flaw) = check_length(&q, LONGEST_SEARCH) {
        faults.push(Fault::new("/q", flaw.code, flaw.detail));
    }
    let after = search.after.map(|id| Uuid::try_parse(&id)).transpose();
    if after.is_err() {
        faults.push(Fault::new("/after", "not_an_id", "is not a message's id"));
    }
    match after {
        Ok(after) if faults.is_empty() => {
            let words: Vec<String> = fold(&q).split_whitespace().map(str::to_owned).collect();
            Ok(HttpResponse::Ok().json(mailbox.list(&words, after)))
        }
        _ => Err(faults.into()),
    }
}

async fn clear(mailbox: web::Data<Mailbox>) -> Result<HttpResponse, ApiError> {
    web::block(move || mailbox.clear())
        .await
        .map_err(ApiError::internal)?
        .map_err(ApiError::internal)?;
    Ok(HttpResponse::NoContent().finish())
}

/// A mail as the page shows it.
#[derive(Serialize)]
struct Shown {
    id: Uuid,
    time: Option<DateTime<Utc>>,
    size: usize,
    /// `null` for a file that somebody put into the folder by hand.
    envelope: Option<Envelope>,
    #[serde(flatten)]
    mail: Mail,
}

async fn message(
    mailbox: web::Data<Mailbox>,
    Id(id, ..): Id<Message>,
) -> Result<HttpResponse, ApiError> {
    let shown = with_stored(mailbox, id, move |stored| {
        let (envelope, message) = without_envelope(&stored);
        Shown {
            id,
            time: time_of(id),
            size: message.len(),
            envelope,
            mail: Mail::read(message).with_pictures(),
        }
    })
    .await?;
    Ok(HttpResponse::Ok().json(shown))
}

async fn source(
    mailbox: web::Data<Mailbox>,
    Id(id, ..): Id<Message>,
) -> Result<HttpResponse, ApiError> {
    let message = with_stored(mailbox, id, |stored| without_envelope(&stored).1.to_vec()).await?;
    Ok(HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body(message))
}

/// What `read` makes of a mail's file.
async fn with_stored<T: Send + 'static>(
    mailbox: web::Data<Mailbox>,
    id: Uuid,
    read: impl FnOnce(Vec<u8>) -> T + Send + 'static,
) -> Result<T, ApiError> {
    web::block(move || Ok(mailbox.stored(id)?.map(read)))
        .await
        .map_err(ApiError::internal)?
        .map_err(|error: io::Error| ApiError::internal(error))?
        .ok_or_else(|| ApiError::not_found("message"))
}

async fn events(mailbox: web::Data<Mailbox>) -> Result<HttpResponse, ApiError> {
    let listener = mailbox.listen().ok_or_else(|| ApiError {
        retry_after: Some(30),
        ..ApiError::new(
            503,
            "too_many_listeners",
            "Too many pages listen for new mail, or the service is stopping; ask for the list instead.",
        )
    })?;
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .streaming(listener.into_stream()))
}
