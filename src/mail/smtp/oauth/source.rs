//! The tokens that are there, and when another is asked for.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::AbortHandle;
use tokio_rustls::rustls::RootCertStore;
use tracing::{info, warn};

use super::{
    answer::Granted,
    endpoint::Endpoint,
    error::{OauthError, OauthFault, OauthSetupError},
    sasl::xoauth2,
    settings::OauthSettings,
};
use crate::clock::Clock;

/// How long things may take, and how long a server is left alone that failed.
#[derive(Clone, Debug)]
pub struct OauthLimits {
    /// One request with its answer: whoever waits for a token waits no longer. Default 10 s.
    pub request: Duration,
    /// The pause after a failure. It doubles with each further one. Default 5 s.
    pub pause: Duration,
    /// The longest pause, unless the server asks for a longer one. Default 5 min.
    pub longest_pause: Duration,
    /// How long a token is kept that came in place of a refused one and is refused as well: no further one would help. Default 60 s.
    pub second_chance: Duration,
}

impl Default for OauthLimits {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(10),
            pause: Duration::from_secs(5),
            longest_pause: Duration::from_secs(300),
            second_chance: Duration::from_secs(60),
        }
    }
}

/// A token is renewed when less than this is left of its life, or less than a tenth of it.
const AHEAD: Duration = Duration::from_secs(300);

/// An access token. `Debug` does not show it.
#[derive(Clone, Debug)]
pub struct Token(SecretString);

impl Token {
    /// The token itself, for the wire and nothing else.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// A mail server's words without the token, should it quote what it was sent.
    pub fn hide(&self, user: &str, words: &str) -> String {
        words
            .replace(&xoauth2(user, self.expose()), "***")
            .replace(self.expose(), "***")
    }
}

/// Where access tokens come from. Clones share them.
///
/// One request runs at a time, in a task of its own: whoever waits for it can go away without ending it for the others.
#[derive(Clone)]
pub struct TokenSource(Arc<Inner>);

struct Inner {
    endpoint: Endpoint,
    limits: OauthLimits,
    clock: Clock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    fetch: Option<Fetch>,
    /// The one that came last, in place of the configured one.
    refresh_token: Option<SecretString>,
    /// Failures in a row.
    failures: u32,
    /// How long nobody is asked, and why.
    pause: Option<(Span, OauthError)>,
    /// Whether the next token comes in place of a refused one.
    was_refused: bool,
}

struct Held {
    token: Token,
    life: Span,
    renew_at: DateTime<Utc>,
    second_chance: Option<Span>,
}

#[derive(Clone)]
struct Fetch {
    task: AbortHandle,
    result: Shared<BoxFuture<'static, Result<Token, OauthError>>>,
}

/// A time with a beginning: a clock that is set back ends it, too.
#[derive(Clone, Copy)]
struct Span {
    from: DateTime<Utc>,
    until: DateTime<Utc>,
}

impl Span {
    fn of(from: DateTime<Utc>, length: Duration) -> Self {
        let length = TimeDelta::from_std(length).unwrap_or(TimeDelta::MAX);
        let until = from.checked_add_signed(length);
        Self {
            from,
            until: until.unwrap_or(DateTime::<Utc>::MAX_UTC),
        }
    }

    fn has(self, now: DateTime<Utc>) -> bool {
        self.from <= now && now < self.until
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource")
            .field("settings", &self.0.endpoint.settings)
            .finish_non_exhaustive()
    }
}

impl TokenSource {
    /// A source that has no token yet. `roots` are whom the token server's certificate is checked against.
    ///
    /// A proxy that the environment names (`HTTPS_PROXY`, `NO_PROXY`) is used, except to this machine.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(
        settings: OauthSettings,
        roots: RootCertStore,
        limits: OauthLimits,
        clock: Clock,
    ) -> Result<Self, OauthSetupError> {
        Ok(Self(Arc::new(Inner {
            endpoint: Endpoint::new(settings, roots)?,
            limits,
            clock,
            state: Mutex::default(),
        })))
    }

    /// A token that is good now. It is at hand as a rule: it is renewed ahead of its end, while the old one goes on being given.
    ///
    /// # Errors
    /// Why there is none. For a while after a failure the same is said again without asking anybody.
    pub async fn token(&self) -> Result<Token, OauthError> {
        let fetch = {
            let now = self.0.clock.now();
            let mut state = self.0.lock();
            let held = state.held.as_ref().filter(|held| held.life.has(now));
            let token = held.map(|held| held.token.clone());
            if let (Some(token), Some(held)) = (&token, held)
                && now < held.renew_at
            {
                return Ok(token.clone());
            }
            let fetch = self.0.fetch(&mut state, now);
            match token {
                Some(token) => return Ok(token),
                None => fetch?,
            }
        };
        fetch.result.await
    }

    /// Gives up a token that the mail server refused (535). `true`: [`TokenSource::token`] will give another one, so it is worth
    /// trying once more.
    ///
    /// However many were refused with one token, it is replaced once; and one that came in its place and is refused as well
    /// is kept for a minute, because then the fault is not the token's age.
    pub fn reject(&self, token: &Token) -> bool {
        let now = self.0.clock.now();
        let mut state = self.0.lock();
        match &state.held {
            Some(held) if held.token.expose() == token.expose() => {
                if held.second_chance.is_some_and(|span| span.has(now)) {
                    return false;
                }
                state.held = None;
                state.was_refused = true;
                true
            }
            _ => true,
        }
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that can panic runs under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The request that runs, or a new one; unless the server is left alone.
    fn fetch(self: &Arc<Self>, state: &mut State, now: DateTime<Utc>) -> Result<Fetch, OauthError> {
        // A task is also finished when the runtime that it was on has ended.
        if let Some(fetch) = state.fetch.as_ref().filter(|f| !f.task.is_finished()) {
            return Ok(fetch.clone());
        }
        if let Some((span, error)) = &state.pause
            && span.has(now)
        {
            return Err(error.clone());
        }
        let task = tokio::spawn(Arc::clone(self).ask());
        let host = self.endpoint.settings.host();
        let fetch = Fetch {
            task: task.abort_handle(),
            result: task
                .map(move |ended| {
                    ended.unwrap_or(Err(OauthError {
                        host,
                        fault: OauthFault::Interrupted,
                    }))
                })
                .boxed()
                .shared(),
        };
        state.fetch = Some(fetch.clone());
        Ok(fetch)
    }

    async fn ask(self: Arc<Self>) -> Result<Token, OauthError> {
        let refresh_token = {
            let rotated = self.lock().refresh_token.clone();
            rotated.or_else(|| self.endpoint.settings.refresh_token.clone())
        };
        // The life of a token is counted from before it was asked for.
        let since = self.clock.now();
        let limit = self.limits.request;
        let asked = self.endpoint.fetch(refresh_token.as_ref(), limit, since);
        match asked.await {
            Ok(granted) => Ok(self.keep(granted, since)),
            Err(fault) => Err(self.pause(fault)),
        }
    }

    fn keep(&self, granted: Granted, since: DateTime<Utc>) -> Token {
        let token = Token(granted.token);
        let renewed = granted.life - AHEAD.min(granted.life / 10);
        let mut state = self.lock();
        let second_chance = std::mem::take(&mut state.was_refused);
        let second_chance = second_chance.then(|| Span::of(since, self.limits.second_chance));
        state.held = Some(Held {
            token: token.clone(),
            life: Span::of(since, granted.life),
            renew_at: Span::of(since, renewed).until,
            second_chance,
        });
        if granted.refresh_token.is_some() {
            state.refresh_token = granted.refresh_token;
        }
        state.failures = 0;
        state.pause = None;
        drop(state);
        info!(
            host = self.endpoint.settings.host(),
            seconds = granted.life.as_secs(),
            "a new access token for the mail server"
        );
        token
    }

    fn pause(&self, fault: OauthFault) -> OauthError {
        let error = OauthError {
            host: self.endpoint.settings.host(),
            fault,
        };
        let asked_for = match error.fault {
            OauthFault::Busy { retry_after, .. } => retry_after.unwrap_or_default(),
            _ => Duration::ZERO,
        };
        let mut state = self.lock();
        let doubled = self.limits.pause * 2_u32.pow(state.failures.min(10));
        let pause = doubled.min(self.limits.longest_pause).max(asked_for);
        state.failures = state.failures.saturating_add(1);
        state.pause = Some((Span::of(self.clock.now(), pause), error.clone()));
        drop(state);
        warn!(pause_seconds = pause.as_secs(), "{error}");
        error
    }
}
