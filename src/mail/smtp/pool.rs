//! The pool: at most so many connections, kept between messages.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use lettre::address::Envelope;
use lettre::transport::smtp::extension::ClientId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tracing::debug;

use super::{
    about::is_permanent,
    content::Content,
    delivery::Delivery,
    fault::{Fault, Stage},
    limits::SmtpLimits,
    oauth::TokenSource,
    relay::Relay,
    session::Session,
    tls::SmtpSetupError,
    trace::Trace,
    url::SmtpUrl,
};

/// A pool of connections to one relay. Clones share it.
#[derive(Clone)]
pub struct SmtpPool {
    inner: Arc<Inner>,
}

struct Inner {
    relay: Relay,
    /// One permit a connection in use or being closed. Kept ones need none: a connection is only
    /// opened when none is kept, so those in use and those kept never exceed the permits.
    permits: Arc<Semaphore>,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// The one used last is at the end, and is used next: the others may grow old and close.
    sessions: Vec<(Instant, Session)>,
    /// Whether a task is waiting to close the old ones.
    reaping: bool,
    closed: bool,
}

impl fmt::Debug for SmtpPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpPool")
            .field("relay", &self.inner.relay)
            .finish_non_exhaustive()
    }
}

impl SmtpPool {
    /// A pool of at most `max_connections` (at least one) connections, none of them open yet.
    ///
    /// `hello` names this machine to the server (RFC 5321, section 4.1.1.1).
    ///
    /// # Errors
    /// When certificates are to be checked and the machine has no root certificates.
    pub fn new(
        url: SmtpUrl,
        max_connections: usize,
        hello: ClientId,
        limits: SmtpLimits,
    ) -> Result<Self, SmtpSetupError> {
        Self::with_roots(url, max_connections, hello, limits, &[])
    }

    /// Like [`SmtpPool::new`], trusting `roots` besides the machine's own.
    ///
    /// # Errors
    /// As [`SmtpPool::new`], and when one of `roots` is not a certificate.
    pub fn with_roots(
        url: SmtpUrl,
        max_connections: usize,
        hello: ClientId,
        limits: SmtpLimits,
        roots: &[CertificateDer<'static>],
    ) -> Result<Self, SmtpSetupError> {
        Self::with_tokens(url, max_connections, hello, limits, roots, None)
    }

    /// Like [`SmtpPool::with_roots`], signing in with access tokens where the URL has a user alone.
    ///
    /// # Errors
    /// As [`SmtpPool::with_roots`].
    pub fn with_tokens(
        url: SmtpUrl,
        max_connections: usize,
        hello: ClientId,
        limits: SmtpLimits,
        roots: &[CertificateDer<'static>],
        tokens: Option<TokenSource>,
    ) -> Result<Self, SmtpSetupError> {
        Ok(Self {
            inner: Arc::new(Inner {
                relay: Relay::new(url, hello, limits, roots, tokens)?,
                permits: Arc::new(Semaphore::new(max_connections.max(1))),
                kept: Mutex::default(),
            }),
        })
    }

    pub(super) fn relay(&self) -> &Relay {
        &self.inner.relay
    }

    /// The mail server, as `host:port`.
    pub fn server(&self) -> String {
        self.inner.relay.name()
    }

    /// Sends one message to all recipients of `envelope`, or to none: the first recipient the
    /// server refuses decides.
    ///
    /// `message` is the whole message with CRLF line ends, ASCII but for addresses in its headers; dots are escaped here. Waits for
    /// a free connection as long as it takes; from then on every stage has its time limit.
    /// Dropping the future is safe for the pool, but whether the message was taken is then unknown.
    pub async fn send(&self, envelope: &Envelope, message: &[u8]) -> Delivery {
        self.send_known(envelope, None, message).await
    }

    /// The same under an envelope id of letters and digits, for servers that keep it for their reports (RFC 3461 §4.4).
    pub async fn send_known(
        &self,
        envelope: &Envelope,
        id: Option<&str>,
        message: &[u8],
    ) -> Delivery {
        let content = match Content::of(message) {
            Ok(content) => content,
            Err(reason) => {
                let fault = Fault::Local(reason.to_owned());
                return Delivery::GiveUp(self.inner.relay.failure(Stage::Check, fault, false));
            }
        };
        let Ok(permit) = Arc::clone(&self.inner.permits).acquire_owned().await else {
            let fault = Fault::Broken("the mail connections are being shut down".into());
            return Delivery::Retry(self.inner.relay.failure(Stage::Check, fault, false));
        };
        let mut trace = Trace::unwatched();
        // Declared after the permit, so dropped before it: the limit holds on cancellation too.
        let mut session = match self.inner.take_kept() {
            Some(session) => session,
            None => match self.inner.relay.open(&mut trace).await {
                Ok(session) => session,
                Err((stage, fault)) => {
                    return Delivery::Retry(self.inner.relay.failure(stage, fault, false));
                }
            },
        };
        let mut outcome = session
            .transact(envelope, id, &content, &self.inner.relay.limits, &mut trace)
            .await;
        if outcome.as_ref().is_err_and(|end| end.is_stale()) {
            debug!(connection = session.number, "kept connection was stale");
            // The old connection is closed before a new one is opened.
            drop(session);
            session = match self.inner.relay.open(&mut trace).await {
                Ok(session) => session,
                Err((stage, fault)) => {
                    return Delivery::Retry(self.inner.relay.failure(stage, fault, false));
                }
            };
            outcome = session
                .transact(envelope, id, &content, &self.inner.relay.limits, &mut trace)
                .await;
        }
        match outcome {
            Ok(reply) => {
                debug!(connection = session.number, code = reply.code, "accepted");
                self.inner.keep(session, permit);
                Delivery::Accepted(reply)
            }
            Err(end) => {
                if session.is_in_step() {
                    self.inner.keep(session, permit);
                }
                let permanent = is_permanent(end.stage, &end.fault);
                let failure = self
                    .inner
                    .relay
                    .failure(end.stage, end.fault, end.handed_over);
                if permanent {
                    Delivery::GiveUp(failure)
                } else {
                    Delivery::Retry(failure)
                }
            }
        }
    }

    /// Takes leave on the connections that are kept beyond so many: a server that wants fewer counts those too.
    pub fn shrink(&self, most: usize) {
        let surplus: Vec<_> = {
            let mut kept = self.inner.lock();
            let surplus = kept.sessions.len().saturating_sub(most);
            kept.sessions.drain(..surplus).collect()
        };
        for (_, session) in surplus {
            if let Ok(permit) = Arc::clone(&self.inner.permits).try_acquire_owned() {
                retire(session, permit);
            }
        }
    }

    /// Takes leave of the server on every kept connection, within two seconds.
    ///
    /// Sends that run finish, and their connections are closed; later ones get
    /// [`Delivery::Retry`]. So stop the senders first.
    pub async fn close(&self) {
        self.inner.permits.close();
        let sessions = {
            let mut kept = self.inner.lock();
            kept.closed = true;
            std::mem::take(&mut kept.sessions)
        };
        let mut leaving = JoinSet::new();
        for (_, session) in sessions {
            leaving.spawn(session.quit());
        }
        leaving.join_all().await;
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, Kept> {
        // Nothing that can panic runs under the lock.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The connection used last on which the server has neither spoken nor closed since.
    fn take_kept(&self) -> Option<Session> {
        let mut kept = self.lock();
        loop {
            let (_, mut session) = kept.sessions.pop()?;
            if session.is_quiet() {
                return Some(session);
            }
            debug!(connection = session.number, "closed by the server");
        }
    }

    /// Keeps a connection for the next message, or closes one that has served its time.
    fn keep(self: &Arc<Self>, session: Session, permit: OwnedSemaphorePermit) {
        let mut kept = self.lock();
        if kept.closed || session.messages >= self.relay.limits.messages_per_connection {
            drop(kept);
            retire(session, permit);
            return;
        }
        kept.sessions.push((Instant::now(), session));
        if !kept.reaping {
            kept.reaping = true;
            tokio::spawn(reap(Arc::downgrade(self), self.relay.limits.idle));
        }
    }

    /// Closes the connections that nobody has used for a while; says how long the oldest of the
    /// others has left.
    fn close_idle(&self) -> Option<Duration> {
        let mut kept = self.lock();
        let idle = self.relay.limits.idle;
        let old = kept
            .sessions
            .partition_point(|(since, _)| since.elapsed() >= idle);
        for (_, session) in kept.sessions.drain(..old) {
            // Without a free permit others open connections meanwhile: then no time for manners.
            if let Ok(permit) = Arc::clone(&self.permits).try_acquire_owned() {
                retire(session, permit);
            }
        }
        let next = kept.sessions.first();
        let next = next.map(|(since, _)| idle.saturating_sub(since.elapsed()));
        kept.reaping = next.is_some();
        next
    }
}

/// Closes a connection politely, without making anyone wait; it counts until it is closed.
fn retire(session: Session, permit: OwnedSemaphorePermit) {
    tokio::spawn(async move {
        session.quit().await;
        drop(permit);
    });
}

/// Closes idle connections until none is left, or the pool is gone.
async fn reap(pool: Weak<Inner>, idle: Duration) {
    let mut wait = idle;
    loop {
        sleep(wait).await;
        match pool.upgrade().and_then(|pool| pool.close_idle()) {
            Some(next) => wait = next,
            None => return,
        }
    }
}
