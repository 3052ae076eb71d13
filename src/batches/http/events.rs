//! `GET /batches/{id}/events`.

use std::convert::Infallible;

use actix_web::{
    HttpMessage, HttpRequest, HttpResponse, get,
    http::header,
    web::{self, Bytes},
};
use futures_util::stream;
use secrecy::{ExposeSecret, SecretString};

use crate::{
    access::Access,
    batches::{
        domain::Batch,
        places::Full,
        progress::{News, Progress, Reader, WatchError},
    },
    clock::Clock,
    http::{
        error::ApiError,
        extract::{HeadOnly, bearer},
        problem::Problem,
        resource::Id,
        route::Register,
    },
    model::{
        caller::{Caller, Permission},
        named::Named,
    },
    state::State,
};

/// Adds the handler.
pub fn routes(api: &mut impl Register) {
    api.permit(Permission::Read, watch_batch);
}

impl From<WatchError> for ApiError {
    fn from(error: WatchError) -> Self {
        match error {
            WatchError::NotFound => Self::not_found(Batch::NAME),
            WatchError::Full(Full::OfOne) => Self {
                retry_after: Some(5),
                ..Self::new(
                    429,
                    "too_many_streams",
                    "This key or operator watches as many batches as one may at once; end one, or look with GET /batches/{id}.",
                )
            },
            WatchError::Full(Full::All) => Self {
                retry_after: Some(5),
                ..Self::new(
                    503,
                    "too_many_streams",
                    "As many watch batches here as may; try again shortly, or look with GET /batches/{id}.",
                )
            },
            WatchError::Db(error) => error.into(),
        }
    }
}

/// Watch a batch
///
/// Server-sent events: `progress` whenever the counts have changed (four times a second at most), then `done`, and the
/// stream ends. The data of both is what `GET /batches/{id}` answers. Come back with the last event's id as
/// `Last-Event-ID`, to any instance, and only what you do not know yet is told. A comment every 15 s keeps the
/// connection open. Read it with `fetch`, which sends the bearer token: there is none in a URL.
#[utoipa::path(
    tag = "batches",
    params(
        ("id" = Uuid, Path, description = "The batch's id"),
        ("Last-Event-ID" = Option<String>, Header, description = "The id of the last event that you have seen"),
    ),
    responses(
        (status = 200, description = "Events, as they happen", body = String, content_type = "text/event-stream",
            headers(("Cache-Control" = String, description = "`no-store`"))),
        (status = 429, description = "`too_many_streams`: the caller has 16 of them here; or `rate_limited`", body = Problem),
        (status = 503, description = "The database is away, or `too_many_streams`: all together have as many as there may be", body = Problem),
    )
)]
#[get("/batches/{id}/events")]
async fn watch_batch(
    state: web::Data<State>,
    progress: web::Data<Progress>,
    access: web::Data<Access>,
    caller: Caller,
    request: HttpRequest,
    Id(id, ..): Id<Batch>,
) -> Result<HttpResponse, ApiError> {
    let last = request
        .headers()
        .get("last-event-id")
        .and_then(|id| id.to_str().ok())
        .map(str::to_owned);
    let reader = progress.watch(caller.id(), id, last).await?;
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        // Else nginx keeps events until a buffer is full.
        .insert_header(("X-Accel-Buffering", "no"));
    if request.extensions().get::<HeadOnly>().is_some() {
        return Ok(response.finish());
    }
    let watcher = Watcher {
        token: bearer(request.headers()).map(SecretString::from),
        clock: state.clock.clone(),
        access,
        reader,
    };
    Ok(response.streaming(stream::unfold(watcher, Watcher::next)))
}

/// A reader with the key that it reads with.
struct Watcher {
    clock: Clock,
    access: web::Data<Access>,
    token: Option<SecretString>,
    reader: Reader,
}

impl Watcher {
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        let news = self.reader.next().await?;
        if !self.may_still_watch().await {
            return None;
        }
        let text = match news {
            News::Progress(id, batch) => event("progress", &id, &batch),
            News::Done(id, batch) => event("done", &id, &batch),
            News::Beat => ":\n\n".to_owned(),
        };
        Some((Ok(text.into()), self))
    }

    /// Whether the key is still good: a stream may outlive it. Nothing is told to one that was revoked.
    async fn may_still_watch(&self) -> bool {
        let token = self.token.as_ref().map(|token| token.expose_secret());
        let now = self.clock.now();
        match self.access.authenticate(token, now).await {
            Ok(caller) => caller.may(Permission::Read),
            // Who cannot be asked about is not sent away.
            Err(error) => error.status >= 500,
        }
    }
}

fn event(name: &str, id: &str, batch: &Batch) -> String {
    // Plain numbers and names: there is no line break in it, and nothing that could fail.
    let data = serde_json::to_string(batch).unwrap_or_default();
    format!("id: {id}\nevent: {name}\ndata: {data}\n\n")
}
