//! A file that a client uploads: what it says that it is, and keeping it on disk while it arrives.

use std::{fs::File, future::Future, io::Write, time::Duration};

use actix_web::{
    HttpRequest,
    http::header::{self, ContentDisposition},
    web::{self, Bytes, BytesMut},
};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout, timeout_at};

use super::media::{Said, parsed, said, unsupported};
use crate::http::error::ApiError;

/// The largest file, in bytes.
const LARGEST: usize = 128 * 1024 * 1024;
/// Written to disk in pieces of this size.
const PIECE: usize = 1024 * 1024;
/// A client that falls silent for so long is given up.
const SILENCE: Duration = Duration::from_secs(30);
/// However slowly it goes, a file is here by then.
const UPLOAD_TIME: Duration = Duration::from_secs(30 * 60);

/// How the request says that it brings its file.
pub(super) enum Way {
    /// It is the body.
    Body(Said),
    /// It is in a form.
    Form,
}

/// Reads the request's headers.
///
/// # Errors
/// 415 for what is no table and no text.
pub(super) fn way(request: &HttpRequest) -> Result<Way, ApiError> {
    let is_encoded = request
        .headers()
        .get(header::CONTENT_ENCODING)
        .is_some_and(|encoding| !encoding.as_bytes().eq_ignore_ascii_case(b"identity"));
    if is_encoded {
        return Err(ApiError::new(
            415,
            "unsupported_content_encoding",
            "Send the file as it is, without `Content-Encoding`.",
        ));
    }
    let headers = request.headers();
    let media_type = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(parsed)
        .ok_or_else(unsupported)?;
    if media_type.essence_str() == "multipart/form-data" {
        return Ok(Way::Form);
    }
    let disposition = headers
        .get(header::CONTENT_DISPOSITION)
        .and_then(|value| ContentDisposition::from_raw(value).ok());
    said(&media_type, disposition.as_ref()).map(Way::Body)
}

fn announced(request: &HttpRequest) -> Option<usize> {
    let length = request.headers().get(header::CONTENT_LENGTH)?;
    length.to_str().ok()?.parse().ok()
}

fn too_large() -> ApiError {
    ApiError::new(
        413,
        "payload_too_large",
        format!(
            "The file is larger than {} MiB, which is the limit here.",
            LARGEST / 1024 / 1024
        ),
    )
}

pub(super) fn cut() -> ApiError {
    ApiError::new(
        400,
        "malformed_body",
        "The connection ended before the file was here in full. Nothing was imported.",
    )
}

/// Refuses a body that says to be too large, before it is here.
///
/// # Errors
/// 413.
pub(super) fn check_announced(request: &HttpRequest) -> Result<(), ApiError> {
    if announced(request).is_some_and(|length| length > LARGEST) {
        return Err(too_large());
    }
    Ok(())
}

/// How long a client is waited for.
#[derive(Clone, Copy)]
pub(super) struct Patience(Instant);

impl Patience {
    pub(super) fn begin() -> Self {
        Self(Instant::now() + UPLOAD_TIME)
    }

    /// Waits for the next piece.
    ///
    /// # Errors
    /// 408 for a client that falls silent, or is too slow.
    pub(super) async fn wait<T>(self, next: impl Future<Output = T>) -> Result<T, ApiError> {
        let late = |_| {
            ApiError::new(
                408,
                "request_timeout",
                "The file did not arrive in time. Nothing was imported.",
            )
        };
        timeout_at(self.0, timeout(SILENCE, next))
            .await
            .map_err(late)?
            .map_err(late)
    }
}

/// A file without a name, which is gone with its handle, while it arrives.
pub(super) struct Arriving {
    file: File,
    piece: BytesMut,
    size: usize,
    digest: Sha256,
}

impl Arriving {
    pub(super) fn begin() -> Result<Self, ApiError> {
        Ok(Self {
            file: tempfile::tempfile().map_err(no_room)?,
            piece: BytesMut::new(),
            size: 0,
            digest: Sha256::new(),
        })
    }

    /// Adds some bytes.
    ///
    /// # Errors
    /// 413, 503 without room for the file.
    pub(super) async fn add(mut self, bytes: &Bytes) -> Result<Self, ApiError> {
        self.size += bytes.len();
        if self.size > LARGEST {
            return Err(too_large());
        }
        self.digest.update(bytes);
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush().await
        } else {
            Ok(self)
        }
    }

    async fn flush(mut self) -> Result<Self, ApiError> {
        let piece = self.piece.split().freeze();
        self.file = write(self.file, piece).await?;
        Ok(self)
    }

    /// The file and its SHA-256.
    ///
    /// # Errors
    /// 503 without room for the file.
    pub(super) async fn finish(self) -> Result<(File, Vec<u8>), ApiError> {
        let done = self.flush().await?;
        Ok((done.file, done.digest.finalize().to_vec()))
    }
}

/// Keeps a body.
///
/// # Errors
/// 413, 408 for a client that falls silent, 400 for one that is gone, 503 without room for the file.
pub(super) async fn receive(mut payload: web::Payload) -> Result<(File, Vec<u8>), ApiError> {
    let patience = Patience::begin();
    let mut arriving = Arriving::begin()?;
    while let Some(bytes) = patience.wait(payload.next()).await? {
        arriving = arriving.add(&bytes.map_err(|_| cut())?).await?;
    }
    arriving.finish().await
}

async fn write(mut file: File, piece: Bytes) -> Result<File, ApiError> {
    web::block(move || {
        file.write_all(&piece)?;
        Ok(file)
    })
    .await
    .map_err(ApiError::internal)?
    .map_err(no_room)
}

/// The temporary folder is full or not writable: for the operator, not the client, to mend.
fn no_room(error: std::io::Error) -> ApiError {
    ApiError {
        detail: "The service has no room to keep the file just now. Nothing was imported; try again later."
            .into(),
        ..ApiError::unavailable(60, error)
    }
}
