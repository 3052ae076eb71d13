//! Who calls, and what that role may do.

pub mod keys;
pub mod roles;

use std::time::Duration;

use actix_web::{FromRequest, HttpMessage, HttpRequest, dev::Payload};
use chrono::{DateTime, Utc};
use moka::future::Cache;
use subtle::ConstantTimeEq;
use uuid::Uuid;

use crate::{db::Db, error::ApiError};
use keys::{KeyHash, KeyRecord};
pub use roles::{Permission, Role};

/// How long a key that was looked up is believed. A revocation ends it within a second everywhere.
const BELIEVED_FOR: Duration = Duration::from_millis(500);
/// How long one is remembered by those who must watch the service while its database is away.
const REMEMBERED_FOR: Duration = Duration::from_secs(60 * 60);
/// How long they wait for the database.
const ASKED_FOR: Duration = Duration::from_secs(1);

/// Who makes a request.
#[derive(Debug, Clone)]
pub struct Caller {
    id: Uuid,
    role: Role,
}

impl Caller {
    /// The key's id.
    pub fn id(&self) -> Uuid {
        self.id
    }

    /// As it is kept with what the caller did: `api_key:<id>`.
    pub fn label(&self) -> String {
        format!("api_key:{}", self.id)
    }

    /// Whether the role reaches.
    pub fn may(&self, permission: Permission) -> bool {
        self.role.may(permission)
    }

    /// # Errors
    /// 403 when the role does not reach.
    pub fn require(&self, permission: Permission) -> Result<(), ApiError> {
        if self.role.may(permission) {
            Ok(())
        } else {
            Err(ApiError::new(
                403,
                "forbidden",
                format!("A key with the role `{}` may not do this.", self.role),
            ))
        }
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        // The gate put it there; a route without the gate is a mistake of ours.
        let caller = request.extensions().get::<Self>().cloned();
        std::future::ready(
            caller.ok_or_else(|| {
                ApiError::internal("a protected route was reached without a caller")
            }),
        )
    }
}

/// Knows every key that was used lately.
pub struct Access {
    db: Db,
    seen: Cache<KeyHash, KeyRecord>,
    remembered: Cache<KeyHash, KeyRecord>,
}

impl Access {
    /// Looks keys up in `db`.
    pub fn new(db: Db) -> Self {
        let cache = |time| {
            Cache::builder()
                .max_capacity(10_000)
                .time_to_live(time)
                .build()
        };
        Self {
            db,
            seen: cache(BELIEVED_FOR),
            remembered: cache(REMEMBERED_FOR),
        }
    }

    /// Whether a token was found good within the last half second: then the database is not asked about it again.
    pub fn has_seen(&self, token: &str) -> bool {
        keys::hash_of(token).is_some_and(|hash| self.seen.contains_key(&hash))
    }

    /// Who holds this bearer token.
    ///
    /// # Errors
    /// 401 without a token, or with one that is unknown, revoked or expired: all the same to the caller.
    pub async fn authenticate(
        &self,
        token: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Caller, ApiError> {
        let hash = hash_in(token)?;
        let record = match self.seen.get(&hash).await {
            Some(record) => record,
            None => {
                let found = self
                    .db
                    .read(move |connection| keys::find(connection, &hash))
                    .await?;
                let Some(record) = found.filter(|record| bool::from(record.hash.ct_eq(&hash)))
                else {
                    self.remembered.invalidate(&hash).await;
                    return Err(unknown());
                };
                self.seen.insert(hash, record.clone()).await;
                self.remembered.insert(hash, record.clone()).await;
                record
            }
        };
        valid(&record, now)
    }

    /// The same for those who must watch the service just when its database is away: a key that worked within
    /// the last hour is believed then, and the database is waited for a second at most.
    ///
    /// # Errors
    /// As [`Access::authenticate`]; 503 when the database is away and the key is not remembered.
    pub async fn recognize(
        &self,
        token: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Caller, ApiError> {
        let asked = tokio::time::timeout(ASKED_FOR, self.authenticate(token, now)).await;
        let problem = match asked {
            Ok(Err(problem)) if problem.status == 503 => problem,
            Ok(answer) => return answer,
            Err(_) => ApiError::unavailable(2, "the database did not answer within a second"),
        };
        match self.remembered.get(&hash_in(token)?).await {
            Some(record) => valid(&record, now),
            None => Err(problem),
        }
    }
}

fn refused(detail: &'static str) -> ApiError {
    ApiError::new(401, "unauthorized", detail)
}

fn unknown() -> ApiError {
    refused("This key is not known, or no longer valid.")
}

fn hash_in(token: Option<&str>) -> Result<KeyHash, ApiError> {
    let token = token.ok_or_else(|| {
        refused(
            "Send an API key as `Authorization: Bearer enl_…`; `enlist api-keys create` makes one.",
        )
    })?;
    keys::hash_of(token).ok_or_else(unknown)
}

fn valid(record: &KeyRecord, now: DateTime<Utc>) -> Result<Caller, ApiError> {
    if record.expires_at.is_some_and(|end| end <= now) {
        return Err(unknown());
    }
    Ok(Caller {
        id: record.id,
        role: record.role,
    })
}
