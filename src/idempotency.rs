//! `Idempotency-Key`: the same request answered twice is done once.
//!
//! The first answer is stored in the transaction of what it answers for. While that runs, an advisory
//! lock tells others that it does; a crash ends both together, so no key is ever stuck.

use actix_web::HttpRequest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use diesel::{prelude::*, sql_types::BigInt};
use sha2::{Digest, Sha256};

use crate::{
    access::Caller,
    db::DbError,
    error::ApiError,
    schema::idempotency_keys as keys,
    secrets::keys::{KeyRing, Purpose},
};

/// How long an answer is replayed.
const KEPT: Duration = Duration::hours(24);

/// One use of a key: scoped to the caller and the route.
pub struct Scope {
    caller: String,
    route: String,
    key: String,
    /// `key id:MAC`: says whether a body is the same and nothing else about it.
    fingerprint: String,
}

/// An answer that can be stored and given again.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The `Location` header.
    pub location: Option<String>,
    /// The JSON body.
    pub body: String,
    /// Whether it was stored before.
    pub replayed: bool,
}

define_sql_function! {
    /// Takes a lock until the end of the transaction, or says at once that it is taken.
    fn pg_try_advisory_xact_lock(key: BigInt) -> diesel::sql_types::Bool;
}

impl Scope {
    /// Reads the header, if it is there.
    ///
    /// # Errors
    /// 422 for a key that is not 1 to 255 visible ASCII characters.
    pub fn of(
        request: &HttpRequest,
        caller: &Caller,
        route: &str,
        body: &[u8],
        ring: &KeyRing,
    ) -> Result<Option<Self>, ApiError> {
        let mut headers = request.headers().get_all("idempotency-key");
        let Some(header) = headers.next() else {
            return Ok(None);
        };
        let key = header
            .to_str()
            .ok()
            .filter(|_| headers.next().is_none())
            .filter(|key| (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_graphic()))
            .ok_or_else(|| {
                ApiError::new(
                    422,
                    "invalid_idempotency_key",
                    "`Idempotency-Key` is given once, with 1 to 255 visible ASCII characters; a UUID is a good choice.",
                )
            })?;
        Ok(Some(Self {
            caller: caller.label(),
            route: route.to_owned(),
            key: key.to_owned(),
            fingerprint: fingerprint(ring.signing(), body),
        }))
    }

    fn lock(&self) -> i64 {
        let digest = Sha256::digest(format!("{}\n{}\n{}", self.caller, self.route, self.key));
        let mut first = [0; 8];
        first.copy_from_slice(&digest[..8]);
        i64::from_be_bytes(first)
    }

    /// Whether a stored fingerprint is of the same body, whichever key it was made with.
    fn is_same_body(&self, stored: &str, ring: &KeyRing, body: &[u8]) -> bool {
        stored == self.fingerprint
            || stored
                .split_once(':')
                .and_then(|(id, _)| ring.get(id))
                .is_some_and(|key| fingerprint(key, body) == stored)
    }
}

fn fingerprint(key: &crate::secrets::keys::Key, body: &[u8]) -> String {
    let mac = key.mac(Purpose::Fingerprint, &[body]);
    format!("{}:{}", key.id(), URL_SAFE_NO_PAD.encode(mac))
}

/// Does `work` once for the key: a repeat gets the first answer again. Runs inside a transaction.
///
/// # Errors
/// 409 while the first request is still running, 422 when the key came with another body before,
/// and whatever `work` gives: then nothing is stored and the key is free again.
pub fn once<E>(
    connection: &mut PgConnection,
    scope: Option<&Scope>,
    body: &[u8],
    ring: &KeyRing,
    now: DateTime<Utc>,
    work: impl FnOnce(&mut PgConnection) -> Result<Answer, E>,
) -> Result<Answer, E>
where
    E: From<ApiError> + From<diesel::result::Error>,
{
    let Some(scope) = scope else {
        return work(connection);
    };
    let free: bool =
        diesel::select(pg_try_advisory_xact_lock(scope.lock())).get_result(connection)?;
    if !free {
        return Err(ApiError {
            retry_after: Some(1),
            ..ApiError::new(
                409,
                "idempotency_key_in_flight",
                "A request with this key is still running; repeat it in a moment for its answer.",
            )
        }
        .into());
    }
    let row = keys::table.find((&scope.caller, &scope.route, &scope.key));
    type Row = (String, i16, Option<String>, String, DateTime<Utc>);
    let stored: Option<Row> = row
        .select((
            keys::fingerprint,
            keys::status,
            keys::location,
            keys::body,
            keys::created_at,
        ))
        .first(connection)
        .optional()?;
    match stored {
        Some((known, status, location, answer, at)) if at > now - KEPT => {
            if !scope.is_same_body(&known, ring, body) {
                return Err(ApiError::new(
                    422,
                    "idempotency_key_reused",
                    "This key came with another body before; use a new key for a new request.",
                )
                .into());
            }
            return Ok(Answer {
                status: u16::try_from(status).unwrap_or(200),
                location,
                body: answer,
                replayed: true,
            });
        }
        Some(_) => {
            diesel::delete(row).execute(connection)?;
        }
        None => {}
    }
    let answer = work(connection)?;
    diesel::insert_into(keys::table)
        .values((
            keys::caller.eq(&scope.caller),
            keys::route.eq(&scope.route),
            keys::key.eq(&scope.key),
            keys::fingerprint.eq(&scope.fingerprint),
            keys::status.eq(i16::try_from(answer.status).unwrap_or(200)),
            keys::location.eq(&answer.location),
            keys::body.eq(&answer.body),
            keys::created_at.eq(now),
        ))
        .execute(connection)?;
    Ok(answer)
}

/// Forgets answers that are no longer replayed.
///
/// # Errors
/// When the database is away.
pub fn forget_old(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<usize, DbError> {
    Ok(diesel::delete(keys::table.filter(keys::created_at.le(now - KEPT))).execute(connection)?)
}
