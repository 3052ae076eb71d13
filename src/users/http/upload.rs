//! A file that a client uploads: what it says that it is, and keeping it on disk while it arrives.

use std::{fs::File, io::Write, time::Duration};

use actix_web::{
    HttpRequest,
    http::header,
    web::{self, Bytes, BytesMut},
};
use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, timeout, timeout_at};

use crate::{http::error::ApiError, users::import::Format};

/// The largest file, in bytes.
const LARGEST: usize = 128 * 1024 * 1024;
/// Written to disk in pieces of this size.
const PIECE: usize = 1024 * 1024;
/// A client that falls silent for so long is given up.
const SILENCE: Duration = Duration::from_secs(30);
/// However slowly it goes, a file is here by then.
const UPLOAD_TIME: Duration = Duration::from_secs(30 * 60);

/// How the request says that its file is written.
///
/// # Errors
/// 415 for anything but UTF-8 CSV and plain text.
pub(super) fn format(request: &HttpRequest) -> Result<Format, ApiError> {
    let unsupported = || {
        ApiError::new(
            415,
            "unsupported_media_type",
            "Send the file as `Content-Type: text/csv` in UTF-8, or a list of addresses as `text/plain`.",
        )
    };
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
    let media_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.parse::<actix_web::mime::Mime>().ok())
        .ok_or_else(unsupported)?;
    let charset = media_type.get_param("charset");
    if charset
        .is_some_and(|charset| charset != "utf-8" && charset != "utf8" && charset != "us-ascii")
    {
        return Err(unsupported());
    }
    match media_type.essence_str() {
        "text/csv" => Ok(Format::Csv),
        "text/plain" => Ok(Format::Addresses),
        _ => Err(unsupported()),
    }
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

/// Keeps the upload in a file without a name, which is gone with its handle; gives its SHA-256 too.
///
/// # Errors
/// 413, 408 for a client that falls silent, 400 for one that is gone, 503 without room for the file.
pub(super) async fn receive(
    request: &HttpRequest,
    mut payload: web::Payload,
) -> Result<(File, Vec<u8>), ApiError> {
    if announced(request).is_some_and(|length| length > LARGEST) {
        return Err(too_large());
    }
    let deadline = Instant::now() + UPLOAD_TIME;
    let late = |_| {
        ApiError::new(
            408,
            "request_timeout",
            "The file did not arrive in time. Nothing was imported.",
        )
    };
    let mut digest = Sha256::new();
    let mut file = tempfile::tempfile().map_err(no_room)?;
    let mut piece = BytesMut::new();
    let mut size = 0;
    loop {
        let chunk = timeout_at(deadline, timeout(SILENCE, payload.next()))
            .await
            .map_err(late)?
            .map_err(late)?
            .transpose()
            .map_err(|_| {
                ApiError::new(
                    400,
                    "malformed_body",
                    "The connection ended before the file was here in full. Nothing was imported.",
                )
            })?;
        let is_last = chunk.is_none();
        if let Some(chunk) = chunk {
            size += chunk.len();
            if size > LARGEST {
                return Err(too_large());
            }
            digest.update(&chunk);
            piece.extend_from_slice(&chunk);
        }
        if piece.len() >= PIECE || is_last {
            let full = piece.split().freeze();
            file = write(file, full).await?;
        }
        if is_last {
            return Ok((file, digest.finalize().to_vec()));
        }
    }
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
