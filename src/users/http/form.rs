//! A file in a form, as browsers send it.

use std::fs::File;

use actix_multipart::{Field, Multipart, MultipartError};
use actix_web::{HttpRequest, mime, web};
use futures_util::StreamExt;

use super::{
    media::{Said, said},
    upload::{Arriving, Patience, cut},
};
use crate::http::error::ApiError;

/// Keeps the one file of a form.
///
/// # Errors
/// 422 for anything but one file; as [`super::upload::receive`].
pub(super) async fn receive(
    request: &HttpRequest,
    payload: web::Payload,
) -> Result<(Said, File, Vec<u8>), ApiError> {
    let patience = Patience::begin();
    let mut form = Multipart::new(request.headers(), payload);
    let mut found = None;
    while let Some(field) = patience.wait(form.next()).await? {
        let field = field.map_err(malformed)?;
        let said = said_of(&field)?;
        if found.is_some() {
            return Err(not_one("more than one file"));
        }
        let (file, digest) = kept(field, patience).await?;
        found = Some((said, file, digest));
    }
    found.ok_or_else(|| not_one("no file"))
}

async fn kept(mut field: Field, patience: Patience) -> Result<(File, Vec<u8>), ApiError> {
    let mut arriving = Arriving::begin()?;
    while let Some(bytes) = patience.wait(field.next()).await? {
        arriving = arriving.add(&bytes.map_err(malformed)?).await?;
    }
    arriving.finish().await
}

/// What a field of the form says that it is.
fn said_of(field: &Field) -> Result<Said, ApiError> {
    let disposition = field.content_disposition();
    let name = disposition.map(|disposition| {
        let name = disposition.get_filename();
        let long = disposition
            .get_filename_ext()
            .map(|name| name.value.is_empty());
        name.map(str::is_empty).or(long)
    });
    match name.flatten() {
        Some(false) => {}
        Some(true) => return Err(not_one("no file")),
        None => {
            return Err(ApiError::new(
                422,
                "unexpected_field",
                "The form has a field that is no file. Send one file in it, and options (`dry_run`, `on_conflict` …) \
                 in the query. Nothing was imported.",
            ));
        }
    }
    let media_type = field.content_type().unwrap_or(&mime::TEXT_PLAIN);
    said(media_type, disposition)
}

fn not_one(what: &str) -> ApiError {
    ApiError::new(
        422,
        "not_one_file",
        format!("The form has {what}. Send exactly one. Nothing was imported."),
    )
}

fn malformed(error: MultipartError) -> ApiError {
    match error {
        MultipartError::Payload(_) | MultipartError::Incomplete => cut(),
        error => ApiError {
            source: Some(error.to_string().into()),
            ..ApiError::new(
                400,
                "malformed_body",
                "The form cannot be read; it is no `multipart/form-data` with the boundary that its header names.",
            )
        },
    }
}
