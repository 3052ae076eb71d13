//! One thing with an id: the id in a path, reading it, and the version that a change is meant for.

use std::marker::PhantomData;

use actix_web::{
    FromRequest, HttpRequest, HttpResponse,
    dev::Payload,
    http::header::{self},
};
use diesel::PgConnection;
use serde::Serialize;
use uuid::Uuid;

use super::{
    error::ApiError,
    etag::{self, Tags},
    extract::tags,
    respond,
};
use crate::{db::DbError, model::named::Named, state::State};

/// The id in the path. What is not a UUID is a 404: no such thing can be there.
pub struct Id<T>(pub Uuid, pub PhantomData<T>);

impl<T: Named> FromRequest for Id<T> {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let id = request
            .match_info()
            .get("id")
            .and_then(|id| Uuid::try_parse(id).ok());
        std::future::ready(
            id.map(|id| Self(id, PhantomData))
                .ok_or_else(|| ApiError::not_found(T::NAME)),
        )
    }
}

/// The versions that a change is meant for (`If-Match`).
#[derive(Debug, Default, Clone)]
pub struct Expected(Option<Tags>);

impl Expected {
    /// The resource as it is now, which is held until the end of the transaction.
    ///
    /// # Errors
    /// 404 when it is not there, 412 when it is another version than was expected.
    pub fn of<T: Named + Serialize>(&self, held: Option<T>) -> Result<T, ApiError> {
        let held = held.ok_or_else(|| ApiError::not_found(T::NAME))?;
        self.check(&held)?;
        Ok(held)
    }

    /// # Errors
    /// 412 when it is another version than was expected.
    pub fn check(&self, held: &impl Serialize) -> Result<(), ApiError> {
        match &self.0 {
            Some(tags) if !tags.has(&etag::of(held)) => Err(ApiError::precondition_failed()),
            _ => Ok(()),
        }
    }
}

impl FromRequest for Expected {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        std::future::ready(Ok(Self(tags(request, header::IF_MATCH))))
    }
}

/// Answers with one resource and its `ETag`, or 304 where the client has this version.
///
/// # Errors
/// 404 when it is not there; 503 when the database is not available.
pub async fn read<T: Named + Serialize + Send + 'static>(
    state: &State,
    request: &HttpRequest,
    get: impl FnMut(&mut PgConnection) -> Result<Option<T>, DbError> + Send + 'static,
) -> Result<HttpResponse, ApiError> {
    let found = state.db.read(get).await?;
    let found = found.ok_or_else(|| ApiError::not_found(T::NAME))?;
    Ok(respond::resource(request, &found))
}

/// Changes one resource in a transaction, and answers with it as it is now.
///
/// # Errors
/// Those of `work`.
pub async fn change<T: Serialize + Send + 'static>(
    state: &State,
    request: &HttpRequest,
    work: impl FnOnce(&mut PgConnection) -> Result<T, ApiError> + Send + 'static,
) -> Result<HttpResponse, ApiError> {
    let changed = state.db.transaction(work).await?;
    Ok(respond::resource(request, &changed))
}

/// Does something in a transaction of which there is nothing to tell: 204.
///
/// # Errors
/// Those of `work`.
pub async fn act(
    state: &State,
    work: impl FnOnce(&mut PgConnection) -> Result<(), ApiError> + Send + 'static,
) -> Result<HttpResponse, ApiError> {
    state.db.transaction(work).await?;
    Ok(HttpResponse::NoContent().finish())
}
