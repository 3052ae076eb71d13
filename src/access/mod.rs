//! Who calls, and what that role may do.

pub mod domain;
pub mod http;
pub mod keys;
pub mod known;
pub mod manage_keys;
pub mod manage_operators;
pub mod operators;
pub mod sessions;
pub mod sign_in;
pub mod tokens;

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use moka::future::Cache;
use subtle::ConstantTimeEq;

use crate::{
    audit::Trail,
    db::{Db, DbError},
    http::error::ApiError,
    model::caller::{Caller, Who},
    secrets::keys::KeyRing,
};
use keys::SEEN_EVERY;
use known::{Lately, Network};

use tokens::{Kind, TokenHash};

/// How long a token that was looked up is believed. A revocation ends it within a second everywhere.
const BELIEVED_FOR: Duration = Duration::from_millis(500);
/// How long one is remembered by those who must watch the service while its database is away.
const REMEMBERED_FOR: Duration = Duration::from_secs(60 * 60);
/// How long they wait for the database.
const ASKED_FOR: Duration = Duration::from_secs(1);

/// A token that was found good.
#[derive(Debug, Clone)]
struct Known {
    caller: Caller,
    ends_at: Option<DateTime<Utc>>,
}

impl Known {
    fn valid(self, now: DateTime<Utc>) -> Result<Caller, ApiError> {
        if self.ends_at.is_some_and(|end| end <= now) {
            return Err(unknown());
        }
        Ok(self.caller)
    }
}

/// Knows every token that was used lately.
pub struct Access {
    db: Db,
    seen: Cache<TokenHash, Known>,
    remembered: Cache<TokenHash, Known>,
    lately: Cache<(), Arc<Lately>>,
}

impl Access {
    /// Looks tokens up in `db`.
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
            lately: Cache::builder().time_to_live(BELIEVED_FOR).build(),
        }
    }

    /// Whether a token was found good within the last half second: then the database is not asked about it again.
    pub fn has_seen(&self, token: &str) -> bool {
        tokens::read(token).is_some_and(|(_, hash)| self.seen.contains_key(&hash))
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
        let (kind, hash) = read(token)?;
        if let Some(known) = self.seen.get(&hash).await {
            return known.valid(now);
        }
        let Some(known) = self.look_up(kind, hash, now).await? else {
            self.remembered.invalidate(&hash).await;
            return Err(unknown());
        };
        self.seen.insert(hash, known.clone()).await;
        self.remembered.insert(hash, known.clone()).await;
        known.valid(now)
    }

    /// The same for those who must watch the service just when its database is away: a token that worked within
    /// the last hour is believed then, and the database is waited for a second at most.
    ///
    /// # Errors
    /// As [`Access::authenticate`]; 503 when the database is away and the token is not remembered.
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
        match self.remembered.get(&read(token)?.1).await {
            Some(known) => known.valid(now),
            None => Err(problem),
        }
    }

    /// Forgets a token that was just ended: here at once, on other instances within a second.
    pub async fn forget(&self, token: &str) {
        if let Some((_, hash)) = tokens::read(token) {
            self.seen.invalidate(&hash).await;
            self.remembered.invalidate(&hash).await;
        }
    }

    /// Whether any operator is known from there, as things were half a second ago: good enough to say who waits for whom.
    pub async fn knows(&self, keys: &KeyRing, network: &Network, now: DateTime<Utc>) -> bool {
        let read = self
            .db
            .read(move |connection| Lately::read(connection, now));
        let lately = self
            .lately
            .try_get_with((), async { read.await.map(Arc::new) });
        match lately.await {
            Ok(lately) => lately.knew(keys, network),
            Err(error) => {
                tracing::warn!(%error, "it cannot be looked up who is known from where");
                false
            }
        }
    }

    /// Somebody became known: here at once, on other instances within half a second.
    pub async fn look_again(&self) {
        self.lately.invalidate(&()).await;
    }

    async fn look_up(
        &self,
        kind: Kind,
        hash: TokenHash,
        now: DateTime<Utc>,
    ) -> Result<Option<Known>, ApiError> {
        // The index found it by its bytes; to compare once more takes the same time whatever they are.
        let is_same = |stored: &TokenHash| bool::from(stored.ct_eq(&hash));
        let is_due = |noted: Option<DateTime<Utc>>| noted.is_none_or(|at| now - at >= SEEN_EVERY);
        match kind {
            Kind::Key => {
                let find = move |connection: &mut _| keys::find(connection, &hash);
                let found = self.db.read(find).await?;
                let Some(key) = found.filter(|key| is_same(&key.hash)) else {
                    return Ok(None);
                };
                if key.ended(now).is_some()
                    && key.is_end_to_be_told(now)
                    && let Some(trail) = Trail::current()
                {
                    let told = key.clone();
                    self.note(move |connection| keys::tell_of_end(connection, &trail, &told, now))
                        .await;
                }
                if key.revoked_at.is_some() {
                    return Ok(None);
                }
                let known = Known {
                    caller: Caller {
                        who: Who::Key(key.id),
                        name: key.name.into(),
                        role: key.role,
                    },
                    ends_at: key.expires_at,
                };
                if is_due(key.last_used_at) && known.clone().valid(now).is_ok() {
                    self.note(move |connection| keys::note_use(connection, key.id, now))
                        .await;
                }
                Ok(Some(known))
            }
            Kind::Session => {
                let find = move |connection: &mut _| sessions::find(connection, &hash);
                let found = self.db.read(find).await?;
                let Some(mut session) = found.filter(|session| is_same(&session.hash)) else {
                    return Ok(None);
                };
                let is_over = session.ends_at() <= now;
                if !is_over && is_due(Some(session.last_seen_at)) {
                    let id = session.id;
                    self.note(move |connection| sessions::note_use(connection, id, now))
                        .await;
                    session.last_seen_at = now;
                }
                Ok(Some(Known {
                    caller: Caller {
                        who: Who::Operator {
                            id: session.operator,
                            session: session.id,
                        },
                        name: session.email.as_str().into(),
                        role: session.role,
                    },
                    ends_at: Some(session.ends_at()),
                }))
            }
        }
    }

    /// Notes that a token was used. A request does not fail for it.
    async fn note(
        &self,
        work: impl FnOnce(&mut diesel::PgConnection) -> Result<(), DbError> + Send + 'static,
    ) {
        if let Err(error) = self.db.transaction(work).await {
            tracing::warn!(%error, "it cannot be noted that a key or session was used");
        }
    }
}

fn refused(detail: &'static str) -> ApiError {
    ApiError::new(401, "unauthorized", detail)
}

fn unknown() -> ApiError {
    refused("This token is not known, or no longer valid.")
}

fn read(token: Option<&str>) -> Result<(Kind, TokenHash), ApiError> {
    let token = token.ok_or_else(|| {
        refused(
            "Send `Authorization: Bearer` and an API key (`enlist api-keys create` makes one) or the token of a \
             session (POST /sessions).",
        )
    })?;
    tokens::read(token).ok_or_else(unknown)
}
