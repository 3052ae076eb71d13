//! `Idempotency-Key`: the same request answered twice is done once.
//!
//! The first answer is stored in the transaction of what it answers for. While that runs, an advisory
//! lock tells others that it does; a crash ends both together, so no key is ever stuck.
//!
//! What takes many transactions holds a [`Lease`] instead, and stores its answer at the end. A crash
//! leaves the lease to end by itself.

use actix_web::HttpRequest;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chrono::{DateTime, Duration, Utc};
use diesel::{pg::Pg, prelude::*, query_dsl::methods, sql_types::BigInt};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{
    error::ApiError,
    idempotency_key,
    repeats::{forgotten, in_flight, reused},
};
use crate::{
    db::DbError,
    model::caller::Caller,
    schema::{idempotency_keys as keys, idempotency_leases as leases},
    secrets::keys::{KeyRing, Purpose},
};

/// How long an answer is replayed.
const KEPT: Duration = Duration::hours(24);
/// What is kept of an answer that told of a person who is deleted.
const FORGOTTEN: &str = "";
/// How long a key is held for work that gives no sign of life.
const LEASE: Duration = Duration::seconds(30);
/// How often such a sign is given, besides those of the work itself.
pub const RENEW_EVERY: std::time::Duration = std::time::Duration::from_secs(8);

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
    /// The user whom it tells of.
    pub about: Option<Uuid>,
    /// Whether it was stored before.
    pub replayed: bool,
}

define_sql_function! {
    /// Takes a lock until the end of the transaction, or says at once that it is taken.
    fn pg_try_advisory_xact_lock(key: BigInt) -> diesel::sql_types::Bool;
}

/// The key in the header, if it is there. `"key"` (a string of RFC 8941, as the draft for this header has it) and `key` are
/// one.
///
/// # Errors
/// 422 for a key that is not 1 to 255 visible ASCII characters, and for quotes that are no string's.
pub fn key_of(request: &HttpRequest) -> Result<Option<String>, ApiError> {
    let mut headers = request.headers().get_all("idempotency-key");
    let Some(header) = headers.next() else {
        return Ok(None);
    };
    header
        .to_str()
        .ok()
        .filter(|_| headers.next().is_none())
        .and_then(idempotency_key::read)
        .map(Some)
        .ok_or_else(|| {
            ApiError::new(
                422,
                "invalid_idempotency_key",
                "`Idempotency-Key` is given once, with 1 to 255 visible ASCII characters, in double quotes or without \
                 (inside quotes, `\\` stands before `\"` and `\\`); a UUID is a good choice.",
            )
        })
}

impl Scope {
    /// Reads the header, if it is there.
    ///
    /// # Errors
    /// As [`key_of`].
    pub fn of(
        request: &HttpRequest,
        caller: &Caller,
        route: &str,
        body: &[u8],
        ring: &KeyRing,
    ) -> Result<Option<Self>, ApiError> {
        Ok(key_of(request)?.map(|key| Self {
            caller: caller.label(),
            route: route.to_owned(),
            key,
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
        return Err(in_flight().into());
    }
    if let Some(answer) = known::<E>(connection, scope, body, ring, now)? {
        return Ok(answer);
    }
    let answer = work(connection)?;
    store(connection, scope, &answer, now)?;
    Ok(answer)
}

/// An answer as it is stored.
#[derive(Queryable, Selectable)]
#[diesel(table_name = keys, check_for_backend(Pg))]
struct Stored {
    key: String,
    fingerprint: String,
    status: i16,
    location: Option<String>,
    body: String,
    created_at: DateTime<Utc>,
    about: Option<Uuid>,
}

impl From<Stored> for Answer {
    fn from(stored: Stored) -> Self {
        Self {
            status: u16::try_from(stored.status).unwrap_or(200),
            location: stored.location,
            body: stored.body,
            about: stored.about,
            replayed: true,
        }
    }
}

/// The answer that is stored under the key.
fn known<E>(
    connection: &mut PgConnection,
    scope: &Scope,
    body: &[u8],
    ring: &KeyRing,
    now: DateTime<Utc>,
) -> Result<Option<Answer>, E>
where
    E: From<ApiError> + From<diesel::result::Error>,
{
    // Until 0.1 a key was stored as it came: with the quotes, if it had some.
    let names = [scope.key.clone(), idempotency_key::quoted(&scope.key)];
    let stored: Option<Stored> = keys::table
        .filter(keys::caller.eq(&scope.caller))
        .filter(keys::route.eq(&scope.route))
        .filter(keys::key.eq_any(names))
        .order_by(keys::key.eq(&scope.key).desc())
        .select(Stored::as_select())
        .first(connection)
        .optional()?;
    match stored {
        Some(stored) if stored.created_at > now - KEPT => {
            if !scope.is_same_body(&stored.fingerprint, ring, body) {
                return Err(reused().into());
            }
            if stored.body == FORGOTTEN {
                return Err(forgotten(stored.about).into());
            }
            Ok(Some(stored.into()))
        }
        Some(stored) => {
            diesel::delete(keys::table.find((&scope.caller, &scope.route, stored.key)))
                .execute(connection)?;
            Ok(None)
        }
        None => Ok(None),
    }
}

fn store(
    connection: &mut PgConnection,
    scope: &Scope,
    answer: &Answer,
    now: DateTime<Utc>,
) -> QueryResult<()> {
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
            keys::about.eq(answer.about),
        ))
        .execute(connection)?;
    Ok(())
}

/// A key that is held over many transactions.
pub struct Lease {
    scope: Scope,
    holder: Uuid,
}

/// How work that takes many transactions begins.
pub enum Begun {
    /// It was done before.
    Done(Answer),
    /// It is ours to do.
    Ours(Lease),
}

/// Takes the key for work that takes many transactions: by `holder`, an id of this very run. Runs inside
/// a transaction.
///
/// # Errors
/// 409 while another run holds it, 422 when the key came with another body before.
pub fn begin(
    connection: &mut PgConnection,
    scope: Scope,
    body: &[u8],
    ring: &KeyRing,
    holder: Uuid,
    now: DateTime<Utc>,
) -> Result<Begun, ApiError> {
    // First the lease, then the look for an answer: it is stored as the lease is given back.
    let held = (
        leases::fingerprint.eq(&scope.fingerprint),
        leases::holder.eq(holder),
        leases::lease_until.eq(now + LEASE),
    );
    let taking = diesel::insert_into(leases::table)
        .values((
            leases::caller.eq(&scope.caller),
            leases::route.eq(&scope.route),
            leases::key.eq(&scope.key),
            held,
        ))
        .on_conflict((leases::caller, leases::route, leases::key))
        .do_update()
        .set(held);
    let taken =
        methods::FilterDsl::filter(taking, leases::lease_until.le(now)).execute(connection)?;
    if taken == 0 {
        let running: Option<String> = leases::table
            .find((&scope.caller, &scope.route, &scope.key))
            .select(leases::fingerprint)
            .first(connection)
            .optional()?;
        return Err(match running {
            Some(other) if !scope.is_same_body(&other, ring, body) => reused(),
            _ => in_flight(),
        });
    }
    let lease = Lease { scope, holder };
    match known::<ApiError>(connection, &lease.scope, body, ring, now)? {
        Some(answer) => {
            lease.release(connection)?;
            Ok(Begun::Done(answer))
        }
        None => Ok(Begun::Ours(lease)),
    }
}

impl Lease {
    /// Says that the work goes on, and makes sure that it is still ours: another run takes over what was
    /// silent for too long.
    ///
    /// # Errors
    /// 409 when it is no longer ours; that the database is away.
    pub fn renew(&self, connection: &mut PgConnection, now: DateTime<Utc>) -> Result<(), ApiError> {
        let renewed = diesel::update(leases::table.filter(leases::holder.eq(self.holder)))
            .set(leases::lease_until.eq(now + LEASE))
            .execute(connection)?;
        if renewed == 0 {
            return Err(in_flight());
        }
        Ok(())
    }

    /// Stores the answer and gives the key back.
    ///
    /// # Errors
    /// As [`Lease::renew`]; then nothing is stored.
    pub fn settle(
        &self,
        connection: &mut PgConnection,
        answer: &Answer,
        now: DateTime<Utc>,
    ) -> Result<(), ApiError> {
        if self.release(connection)? == 0 {
            return Err(in_flight());
        }
        store(connection, &self.scope, answer, now)?;
        Ok(())
    }

    /// Gives the key back without an answer: the work failed and may be tried again. Gives how many were
    /// given back: none, when it was no longer ours.
    ///
    /// # Errors
    /// When the database is away.
    pub fn release(&self, connection: &mut PgConnection) -> QueryResult<usize> {
        diesel::delete(leases::table.filter(leases::holder.eq(self.holder))).execute(connection)
    }
}

/// Forgets what answers told of a user who is deleted. Their keys stay taken.
///
/// # Errors
/// When the database is away.
pub fn forget_about(connection: &mut PgConnection, user: Uuid) -> QueryResult<usize> {
    diesel::update(keys::table.filter(keys::about.eq(user)))
        .set(keys::body.eq(FORGOTTEN))
        .execute(connection)
}

/// Forgets answers that are no longer replayed, and leases that nobody renewed.
///
/// # Errors
/// When the database is away.
pub fn forget_old(connection: &mut PgConnection, now: DateTime<Utc>) -> Result<usize, DbError> {
    diesel::delete(leases::table.filter(leases::lease_until.le(now))).execute(connection)?;
    Ok(diesel::delete(keys::table.filter(keys::created_at.le(now - KEPT))).execute(connection)?)
}
