//! The way out: a small pool of SMTP connections that says what became of one message.
//!
//! lettre speaks the protocol ([`AsyncSmtpConnection`] over a socket of ours); its own pool is not
//! used, because it has no time limit once connected, no `TCP_NODELAY`, and gives a connection back
//! after a cancelled send, one reply behind. Here a connection in use belongs to the sending future
//! alone. It is kept for the next message only when every command has had its answer; a time limit,
//! an error or a cancellation drops it.
//!
//! Nothing is logged but stages, reply codes and connection numbers: replies quote addresses.
//! lettre itself logs bodies and credentials at `debug`, so its log level must stay at `info`.

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use lettre::address::{Address, Envelope};
use lettre::transport::smtp::Error as LettreError;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, AsyncTokioStream, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Ehlo, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::Response;
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, BufReader, ReadBuf};
use tokio::net::{TcpStream, lookup_host};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tracing::debug;
use url::{Host, Url};

/// How long a polite `QUIT` may take. Its answer decides nothing.
const QUIT_LIMIT: Duration = Duration::from_secs(2);

/// The longest reason or reply text that is handed on, in characters.
const TEXT_LIMIT: usize = 500;

// ---------------------------------------------------------------------------------------------
// Where to: the URL
// ---------------------------------------------------------------------------------------------

/// When a connection is encrypted, and so whose certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// `smtp://…?tls=none`: never.
    None,
    /// `smtp://…`: by STARTTLS where the server offers it (RFC 3207).
    ///
    /// Without credentials, or to this machine, any certificate is accepted, as mail servers do
    /// among themselves (RFC 7435): who can forge a certificate here can as well take STARTTLS
    /// out of the offer, so a check would keep nobody out and would turn encryption that works
    /// into mail that does not. With credentials for another host the certificate is checked.
    Opportunistic,
    /// `smtp://…?tls=required`: by STARTTLS or not at all; the certificate is checked.
    Required,
    /// `smtps://…`: from the first byte (RFC 8314, section 3.3); the certificate is checked.
    Implicit,
}

/// The relay to send through, as `ENLIST_SMTP_URL` gives it.
///
/// `Debug` shows no password.
#[derive(Clone, Debug)]
pub struct SmtpUrl {
    host: Host,
    port: u16,
    tls: TlsMode,
    login: Option<Login>,
}

#[derive(Clone, Debug)]
struct Login {
    user: String,
    password: SecretString,
}

/// Why an SMTP URL is refused. No variant holds any part of the credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SmtpUrlError {
    /// Not a URL.
    #[error(
        "not a valid URL ({0}); write smtp://user:password@host:587?tls=required, with special \
         characters of user and password percent-encoded"
    )]
    Syntax(url::ParseError),
    /// Neither `smtp` nor `smtps`.
    #[error("the scheme must be smtp or smtps")]
    Scheme,
    /// No host, or none that can be one.
    #[error("the host is missing or not a host name or address")]
    Host,
    /// Port 0.
    #[error("the port must be between 1 and 65535")]
    Port,
    /// Something behind the host that is not a query.
    #[error("nothing but ?tls=… may follow the host and port")]
    Path,
    /// A user without a password, or the other way round.
    #[error("give a user and a password, or neither")]
    HalfLogin,
    /// Credentials that are not UTF-8 or hold control characters (RFC 4616, section 2).
    #[error("user and password must be percent-encoded UTF-8 without control characters")]
    LoginCharacters,
    /// A query parameter other than `tls`, or `tls` twice.
    #[error("the only query parameter is tls, once")]
    Parameter,
    /// `tls=` with another value, or one that contradicts `smtps`.
    #[error("tls must be required or none, and smtps:// is always encrypted")]
    Tls,
    /// Credentials that could only travel readable by everyone on the way.
    #[error("user and password are not sent to another host without encryption: drop tls=none")]
    LoginInClear,
}

impl FromStr for SmtpUrl {
    type Err = SmtpUrlError;

    /// Reads `smtp://[user:password@]host[:port][?tls=required|none]` or `smtps://…`.
    ///
    /// Ports by default: 465 for `smtps` (RFC 8314), 587 for `smtp` with credentials (RFC 6409),
    /// else 25.
    fn from_str(text: &str) -> Result<Self, SmtpUrlError> {
        let url = Url::parse(text).map_err(|error| match error {
            url::ParseError::EmptyHost => SmtpUrlError::Host,
            other => SmtpUrlError::Syntax(other),
        })?;
        let implicit = match url.scheme() {
            "smtp" => false,
            "smtps" => true,
            _ => return Err(SmtpUrlError::Scheme),
        };
        let host = match url.host() {
            Some(Host::Ipv6(address)) => Host::Ipv6(address),
            // The URL standard leaves hosts of such schemes unread: 127.0.0.1 comes as a domain.
            Some(Host::Domain(name)) => Host::parse(name).map_err(|_| SmtpUrlError::Host)?,
            Some(Host::Ipv4(address)) => Host::Ipv4(address),
            None => return Err(SmtpUrlError::Host),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(SmtpUrlError::Path);
        }
        let login = parse_login(url.username(), url.password())?;
        let tls = parse_tls(&url, implicit)?;
        let port = match (url.port(), tls, &login) {
            (Some(0), _, _) => return Err(SmtpUrlError::Port),
            (Some(port), _, _) => port,
            (None, TlsMode::Implicit, _) => 465,
            (None, _, Some(_)) => 587,
            (None, _, None) => 25,
        };
        let url = Self {
            host,
            port,
            tls,
            login,
        };
        if url.login.is_some() && tls == TlsMode::None && !url.permits_credentials(false) {
            return Err(SmtpUrlError::LoginInClear);
        }
        Ok(url)
    }
}

fn parse_login(user: &str, password: Option<&str>) -> Result<Option<Login>, SmtpUrlError> {
    let decode = |text: &str| match percent_decode_str(text).decode_utf8() {
        Ok(decoded) if !decoded.contains(char::is_control) => Ok(decoded.into_owned()),
        _ => Err(SmtpUrlError::LoginCharacters),
    };
    match (user, password.unwrap_or_default()) {
        ("", "") => Ok(None),
        ("", _) | (_, "") => Err(SmtpUrlError::HalfLogin),
        (user, password) => Ok(Some(Login {
            user: decode(user)?,
            password: decode(password)?.into(),
        })),
    }
}

fn parse_tls(url: &Url, implicit: bool) -> Result<TlsMode, SmtpUrlError> {
    let mut parameters = url.query_pairs();
    let tls = match parameters.next() {
        None => None,
        Some((name, value)) if name == "tls" => Some(value),
        Some(_) => return Err(SmtpUrlError::Parameter),
    };
    if parameters.next().is_some() {
        return Err(SmtpUrlError::Parameter);
    }
    match (implicit, tls.as_deref()) {
        (true, None | Some("required")) => Ok(TlsMode::Implicit),
        (false, None) => Ok(TlsMode::Opportunistic),
        (false, Some("required")) => Ok(TlsMode::Required),
        (false, Some("none")) => Ok(TlsMode::None),
        _ => Err(SmtpUrlError::Tls),
    }
}

impl SmtpUrl {
    /// The host as it is connected to and looked for in the certificate (IPv6 without brackets).
    pub fn host(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        }
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// When connections are encrypted.
    pub fn tls(&self) -> TlsMode {
        self.tls
    }

    /// The decoded user name, if credentials are given.
    pub fn user(&self) -> Option<&str> {
        self.login.as_ref().map(|login| login.user.as_str())
    }

    /// The decoded password, if credentials are given.
    pub fn password(&self) -> Option<&SecretString> {
        self.login.as_ref().map(|login| &login.password)
    }

    /// Whether credentials may be sent over a connection to this host.
    ///
    /// Not without encryption, unless the host is this machine: an attacker on the way can strip
    /// STARTTLS from the server's offer and would be handed the password (RFC 4954, section 9).
    pub fn permits_credentials(&self, encrypted: bool) -> bool {
        encrypted || self.is_loopback()
    }

    /// Whether the server is this machine.
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            // RFC 6761, section 6.3: the name is the loopback address by definition.
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.to_canonical().is_loopback(),
        }
    }

    fn checks_certificate(&self) -> bool {
        match self.tls {
            TlsMode::Required | TlsMode::Implicit => true,
            TlsMode::Opportunistic => self.login.is_some() && !self.is_loopback(),
            TlsMode::None => false,
        }
    }
}

// ---------------------------------------------------------------------------------------------
// What became of it: the results
// ---------------------------------------------------------------------------------------------

/// What became of one message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// The server has taken responsibility for it (RFC 5321, section 4.2.5).
    Accepted(Reply),
    /// Not this time; the same message may pass later.
    Retry(Failure),
    /// Never: the server, or the protocol, refuses this very message or recipient.
    GiveUp(Failure),
}

/// The server's answer to the final dot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The reply code, 2yz (RFC 5321, section 4.2).
    pub code: u16,
    /// The enhanced status code at the beginning of the text, such as `2.0.0` (RFC 3463).
    pub enhanced_status: Option<String>,
    /// All lines of the text in one, at most 500 characters, without the enhanced status.
    pub text: String,
}

/// Why a message was not accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The reply code, where the server gave one.
    pub code: Option<u16>,
    /// The enhanced status code of that reply, such as `5.1.1` (RFC 3463).
    pub enhanced_status: Option<String>,
    /// What failed, in one line of at most 500 characters, without control characters and
    /// credentials. A server's words may name addresses.
    pub reason: String,
    /// Whether the final dot may have reached the server and its answer is not known: the message
    /// may have been taken, and a further try may deliver it twice (RFC 1047).
    pub handed_over: bool,
    /// What it says of the server, whatever the message was.
    pub server: ServerState,
}

/// What a failure says of the server as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerState {
    /// Nothing: it was about this message.
    Fine,
    /// It asks for fewer messages: an enhanced status of 4.7.z, security or policy (RFC 3463, section 3.8).
    WantsLess,
    /// It closes its service for now: 421 (RFC 5321, section 3.8).
    Closing,
    /// It cannot be reached, or does not let us in.
    Away,
}

// ---------------------------------------------------------------------------------------------
// How long: the limits
// ---------------------------------------------------------------------------------------------

/// How long each stage may take, and how long a connection is kept.
///
/// RFC 5321, section 4.5.3.2 recommends minutes for a mail server whose queue is its only
/// business. These defaults are shorter, because a worker waits with a lease on the message and a
/// queue with back-off stands behind it; they must not be so short that a slow acceptance becomes
/// a second copy.
#[derive(Clone, Debug)]
pub struct SmtpLimits {
    /// Name resolution and TCP connect, over all addresses of the host together. Default 10 s.
    pub connect: Duration,
    /// One command and its answer; the greeting with EHLO, a TLS handshake and the whole of AUTH
    /// count as one each. Default 30 s.
    pub command: Duration,
    /// Handing the message's content to the socket, final dot not included. Default 60 s.
    pub body: Duration,
    /// From the final dot to its answer, in which servers scan and store. Default 120 s.
    pub final_dot: Duration,
    /// How long an unused connection is kept: less than servers do. Default 30 s.
    pub idle: Duration,
    /// Messages tried on one connection before it is closed, so that load spreads over a relay's
    /// machines and per-connection limits are not met. Default 100.
    pub messages_per_connection: u32,
}

impl Default for SmtpLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            command: Duration::from_secs(30),
            body: Duration::from_secs(60),
            final_dot: Duration::from_secs(120),
            idle: Duration::from_secs(30),
            messages_per_connection: 100,
        }
    }
}

// ---------------------------------------------------------------------------------------------
// The pool
// ---------------------------------------------------------------------------------------------

/// Why a pool cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum SmtpSetupError {
    /// The certificate would be checked, and nothing is there to check it against.
    #[error(
        "no trusted root certificates on this machine: install them (ca-certificates) or set \
         SSL_CERT_FILE"
    )]
    NoRoots,
    /// TLS cannot be set up with this host or these certificates.
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// A pool of connections to one relay. Clones share it.
#[derive(Clone)]
pub struct SmtpPool {
    inner: Arc<Inner>,
}

struct Inner {
    url: SmtpUrl,
    security: Security,
    hello: ClientId,
    limits: SmtpLimits,
    /// One permit a connection in use or being closed. Kept ones need none: a connection is only
    /// opened when none is kept, so those in use and those kept never exceed the permits.
    permits: Arc<Semaphore>,
    kept: Mutex<Kept>,
    opened: AtomicU64,
}

#[derive(Default)]
struct Kept {
    /// The one used last is at the end, and is used next: the others may grow old and close.
    sessions: Vec<(Instant, Session)>,
    /// Whether a task is waiting to close the old ones.
    reaping: bool,
    closed: bool,
}

enum Security {
    Plain,
    StartTls(Box<TlsParameters>),
    Implicit(TlsConnector, ServerName<'static>),
}

impl fmt::Debug for SmtpPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SmtpPool")
            .field("url", &self.inner.url)
            .field("limits", &self.inner.limits)
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
        Ok(Self {
            inner: Arc::new(Inner {
                security: Security::new(&url, roots)?,
                url,
                hello,
                limits,
                permits: Arc::new(Semaphore::new(max_connections.max(1))),
                kept: Mutex::default(),
                opened: AtomicU64::new(0),
            }),
        })
    }

    /// Sends one message to all recipients of `envelope`, or to none: the first recipient the
    /// server refuses decides.
    ///
    /// `message` is the whole message, ASCII with CRLF line ends; dots are escaped here. Waits for
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
        if let Err(reason) = check_content(message) {
            return Delivery::GiveUp(
                self.inner
                    .failure(Stage::Check, Fault::Local(reason), false),
            );
        }
        let Ok(permit) = Arc::clone(&self.inner.permits).acquire_owned().await else {
            let fault = Fault::Broken("the mail connections are being shut down".into());
            return Delivery::Retry(self.inner.failure(Stage::Check, fault, false));
        };
        // Declared after the permit, so dropped before it: the limit holds on cancellation too.
        let mut session = match self.inner.take_kept() {
            Some(session) => session,
            None => match self.inner.open().await {
                Ok(session) => session,
                Err((stage, fault)) => {
                    return Delivery::Retry(self.inner.failure(stage, fault, false));
                }
            },
        };
        let mut outcome = session
            .transact(envelope, id, message, &self.inner.limits)
            .await;
        if outcome.as_ref().is_err_and(|end| end.is_stale()) {
            debug!(connection = session.number, "kept connection was stale");
            // The old connection is closed before a new one is opened.
            drop(session);
            session = match self.inner.open().await {
                Ok(session) => session,
                Err((stage, fault)) => {
                    return Delivery::Retry(self.inner.failure(stage, fault, false));
                }
            };
            outcome = session
                .transact(envelope, id, message, &self.inner.limits)
                .await;
        }
        match outcome {
            Ok(reply) => {
                debug!(connection = session.number, code = reply.code, "accepted");
                self.inner.keep(session, permit);
                Delivery::Accepted(reply)
            }
            Err(end) => {
                if end.fault.leaves_in_step() {
                    self.inner.keep(session, permit);
                }
                let permanent = end.fault.is_permanent();
                let failure = self.inner.failure(end.stage, end.fault, end.handed_over);
                if permanent {
                    Delivery::GiveUp(failure)
                } else {
                    Delivery::Retry(failure)
                }
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
            let (_, session) = kept.sessions.pop()?;
            if session.wire.is_quiet() {
                return Some(session);
            }
            debug!(connection = session.number, "closed by the server");
        }
    }

    /// Keeps a connection for the next message, or closes one that has served its time.
    fn keep(self: &Arc<Self>, session: Session, permit: OwnedSemaphorePermit) {
        let mut kept = self.lock();
        if kept.closed || session.messages >= self.limits.messages_per_connection {
            drop(kept);
            retire(session, permit);
            return;
        }
        kept.sessions.push((Instant::now(), session));
        if !kept.reaping {
            kept.reaping = true;
            tokio::spawn(reap(Arc::downgrade(self), self.limits.idle));
        }
    }

    /// Closes the connections that nobody has used for a while; says how long the oldest of the
    /// others has left.
    fn close_idle(&self) -> Option<Duration> {
        let mut kept = self.lock();
        let idle = self.limits.idle;
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

    async fn open(&self) -> Result<Session, (Stage, Fault)> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        let (limit, url) = (self.limits.command, &self.url);
        let tcp = self
            .connect()
            .await
            .map_err(|fault| (Stage::Connect, fault))?;
        let broken = |error: io::Error| (Stage::Connect, Fault::Broken(error.to_string()));
        // Body and final dot are written apart: Nagle's algorithm would hold the dot back until
        // the body is acknowledged, 40 ms later.
        tcp.set_nodelay(true).map_err(broken)?;
        let peer = tcp.peer_addr().map_err(broken)?;
        let wire = match &self.security {
            Security::Implicit(connector, name) => {
                let handshake = connector.connect(name.clone(), tcp);
                let stream = in_time(limit, handshake)
                    .await
                    .map_err(|fault| (Stage::Tls, fault))?;
                Wire::new(stream, peer)
            }
            Security::Plain | Security::StartTls(_) => Wire::new(tcp, peer),
        };
        let hello =
            AsyncSmtpConnection::connect_with_transport(Box::new(wire.clone()), &self.hello);
        let mut smtp = in_time(limit, hello)
            .await
            .map_err(|fault| (Stage::Hello, fault))?;

        let mut encrypted = url.tls == TlsMode::Implicit;
        if let Security::StartTls(parameters) = &self.security {
            if smtp.can_starttls() {
                let upgrade = smtp.starttls(parameters.as_ref().clone(), &self.hello);
                in_time(limit, upgrade)
                    .await
                    .map_err(|fault| (Stage::StartTls, fault))?;
                encrypted = true;
            } else if url.tls == TlsMode::Required {
                let reason = "the server does not offer it, and tls=required is set";
                return Err((Stage::StartTls, Fault::Broken(reason.into())));
            }
        }
        // Asked again because lettre keeps to itself what it does not use of the first answer.
        let offered = in_time(limit, smtp.command(Ehlo::new(self.hello.clone())))
            .await
            .map_err(|fault| (Stage::Hello, fault))?;
        if let Some(login) = &url.login {
            if !url.permits_credentials(encrypted) {
                let reason = "the server offers no encryption, and user and password are not sent \
                              in clear to another host";
                return Err((Stage::Auth, Fault::Broken(reason.into())));
            }
            let password = login.password.expose_secret().to_owned();
            let credentials = Credentials::new(login.user.clone(), password);
            let answer = in_time(limit, smtp.auth(DEFAULT_MECHANISMS, &credentials)).await;
            answer
                .and_then(|reply| expect(&reply, |code| code == 235))
                .map_err(|fault| (Stage::Auth, fault))?;
        }
        debug!(connection = number, encrypted, "connected");
        Ok(Session {
            pipelines: offers(&offered, "PIPELINING"),
            reports: offers(&offered, "DSN"),
            smtp,
            wire,
            number,
            messages: 0,
            unfinished: false,
        })
    }

    /// Tries the host's addresses in turn, each with its share of the time that is left.
    async fn connect(&self) -> Result<TcpStream, Fault> {
        let deadline = Instant::now() + self.limits.connect;
        let host = self.url.host();
        let resolved = in_time(self.limits.connect, lookup_host((host, self.url.port))).await?;
        let addresses: Vec<SocketAddr> = resolved.collect();
        let mut last = Fault::Broken("the host has no address".into());
        for (tried, address) in addresses.iter().enumerate() {
            // At most a handful of addresses: the conversion cannot truncate.
            let share = (addresses.len() - tried) as u32;
            let limit = deadline.saturating_duration_since(Instant::now()) / share;
            match in_time(limit, TcpStream::connect(address)).await {
                Ok(stream) => return Ok(stream),
                // What its share was would only confuse: the others had theirs.
                Err(Fault::Timeout(_)) => last = Fault::Timeout(self.limits.connect),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    fn failure(&self, stage: Stage, fault: Fault, handed_over: bool) -> Failure {
        let (code, enhanced_status, text) = match fault {
            Fault::Reply { code, text } => {
                let (status, rest) = split_status(code, &text);
                let shown = match &status {
                    Some(status) => format!("{code} {status} {rest}"),
                    None => format!("{code} {rest}"),
                };
                (Some(code), status, shown)
            }
            Fault::Timeout(limit) => (None, None, format!("no answer within {limit:?}")),
            Fault::Broken(text) => (None, None, text),
            Fault::Local(text) => (None, None, text.to_owned()),
        };
        debug!(stage = %stage, code, enhanced_status, handed_over, "not accepted");
        let reason = match stage {
            Stage::Check => text,
            Stage::Connect => format!("{stage} {}:{}: {text}", self.url.host(), self.url.port),
            _ => format!("{stage}: {text}"),
        };
        let is_connecting = matches!(
            stage,
            Stage::Connect | Stage::Tls | Stage::Hello | Stage::StartTls | Stage::Auth
        );
        let wants_less = enhanced_status
            .as_deref()
            .is_some_and(|status| status.starts_with("4.7."));
        let server = match code {
            _ if is_connecting => ServerState::Away,
            Some(421) => ServerState::Closing,
            _ if wants_less => ServerState::WantsLess,
            _ => ServerState::Fine,
        };
        Failure {
            code,
            enhanced_status,
            reason: one_line(&self.hide_credentials(reason)),
            handed_over,
            server,
        }
    }

    /// Servers quote commands that they do not understand, and AUTH holds the password.
    fn hide_credentials(&self, mut text: String) -> String {
        if let Some(Login { user, password }) = &self.url.login {
            let password = password.expose_secret();
            for secret in [
                BASE64_STANDARD.encode(format!("\0{user}\0{password}")),
                BASE64_STANDARD.encode(password),
                password.to_owned(),
            ] {
                text = text.replace(&secret, "***");
            }
        }
        text
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

impl Security {
    fn new(url: &SmtpUrl, roots: &[CertificateDer<'static>]) -> Result<Self, SmtpSetupError> {
        let host = url.host();
        match url.tls {
            TlsMode::None => Ok(Self::Plain),
            TlsMode::Implicit => {
                let mut store = RootCertStore::empty();
                for root in trusted_roots(roots)? {
                    store.add(root).map_err(setup_error)?;
                }
                let config = ClientConfig::builder_with_provider(ring::default_provider().into())
                    .with_safe_default_protocol_versions()
                    .map_err(setup_error)?
                    .with_root_certificates(store)
                    .with_no_client_auth();
                let name = ServerName::try_from(host).map_err(setup_error)?;
                Ok(Self::Implicit(TlsConnector::from(Arc::new(config)), name))
            }
            TlsMode::Opportunistic | TlsMode::Required => {
                let mut builder =
                    TlsParameters::builder(host).certificate_store(CertificateStore::None);
                if url.checks_certificate() {
                    for root in trusted_roots(roots)? {
                        let root = Certificate::from_der(root.to_vec()).map_err(setup_error)?;
                        builder = builder.add_root_certificate(root);
                    }
                } else {
                    builder = builder
                        .dangerous_accept_invalid_certs(true)
                        .dangerous_accept_invalid_hostnames(true);
                }
                let parameters = builder.build().map_err(setup_error)?;
                Ok(Self::StartTls(Box::new(parameters)))
            }
        }
    }
}

/// The machine's root certificates and `extra`. Machines have some that no library reads: those
/// are left out; one of `extra` is an error later on.
fn trusted_roots(
    extra: &[CertificateDer<'static>],
) -> Result<Vec<CertificateDer<'static>>, SmtpSetupError> {
    let mut roots = rustls_native_certs::load_native_certs().certs;
    roots.retain(|root| RootCertStore::empty().add(root.clone()).is_ok());
    roots.extend_from_slice(extra);
    if roots.is_empty() {
        return Err(SmtpSetupError::NoRoots);
    }
    Ok(roots)
}

fn setup_error(error: impl fmt::Display) -> SmtpSetupError {
    SmtpSetupError::Tls(error.to_string())
}

// ---------------------------------------------------------------------------------------------
// One connection
// ---------------------------------------------------------------------------------------------

/// An open connection, greeted and authenticated.
struct Session {
    smtp: AsyncSmtpConnection,
    wire: Wire,
    /// Whether the server takes several commands at once (RFC 2920).
    pipelines: bool,
    /// Whether the server keeps envelope ids for its reports (RFC 3461).
    reports: bool,
    /// For the log.
    number: u64,
    /// Messages tried so far: above zero, the connection has been kept.
    messages: u32,
    /// A refused message may still be open on the server: RSET comes before the next one.
    unfinished: bool,
}

/// How a transaction ended without acceptance.
struct Ended {
    stage: Stage,
    fault: Fault,
    handed_over: bool,
    /// Whether the connection had been used before.
    reused: bool,
}

impl Ended {
    /// Whether a kept connection turned out to be dead before anything of this message was done.
    fn is_stale(&self) -> bool {
        self.reused
            && match (self.stage, &self.fault) {
                (Stage::Reset | Stage::Mail, Fault::Broken(_)) => true,
                (Stage::Reset, Fault::Reply { .. }) => true,
                (Stage::Mail, Fault::Reply { code, .. }) => *code == 421,
                _ => false,
            }
    }
}

impl Session {
    /// One mail transaction (RFC 5321, section 3.3), stage by stage.
    async fn transact(
        &mut self,
        envelope: &Envelope,
        id: Option<&str>,
        message: &[u8],
        limits: &SmtpLimits,
    ) -> Result<Reply, Ended> {
        let reused = self.messages > 0;
        self.messages += 1;
        let dot = Dot::default();
        self.stages(envelope, id, message, limits, &dot)
            .await
            .map_err(|(stage, fault)| Ended {
                handed_over: dot.is_written() && fault.leaves_unknown(),
                stage,
                fault,
                reused,
            })
    }

    async fn stages(
        &mut self,
        envelope: &Envelope,
        id: Option<&str>,
        message: &[u8],
        limits: &SmtpLimits,
        dot: &Dot,
    ) -> Result<Reply, (Stage, Fault)> {
        let limit = limits.command;
        let smtp = &mut self.smtp;

        if self.unfinished {
            in_time(limit, smtp.command(Rset))
                .await
                .and_then(|reply| expect(&reply, is_done))
                .map_err(at(Stage::Reset))?;
        }
        self.unfinished = false;

        let mut parameters = Vec::new();
        let addresses = envelope.from().into_iter().chain(envelope.to());
        if addresses
            .into_iter()
            .any(|a| !AsRef::<str>::as_ref(a).is_ascii())
        {
            if !smtp.server_info().supports_feature(Extension::SmtpUtfEight) {
                let reason = "the address is not ASCII, and the server does not offer SMTPUTF8 \
                              (RFC 6531)";
                return Err((Stage::Check, Fault::Local(reason)));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        // From here to the acceptance, whatever ends the transaction leaves it open.
        self.unfinished = true;
        if let Some(id) = id.filter(|_| self.reports) {
            parameters.push(MailParameter::Other {
                keyword: "ENVID".to_owned(),
                value: Some(id.to_owned()),
            });
        }
        let mail = Mail::new(envelope.from().cloned(), parameters);
        match envelope.to() {
            // Of several, some may be refused after DATA was taken for the others: then one by one.
            [recipient] if self.pipelines => {
                announce_at_once(smtp, &mail, recipient, limit).await?;
            }
            recipients => announce(smtp, &mail, recipients, limit).await?,
        }

        let reply = write_message(smtp, message, limits, dot).await?;
        expect(&reply, is_done).map_err(at(Stage::FinalDot))?;
        self.unfinished = false;
        let code = u16::from(reply.code());
        let (enhanced_status, text) = split_status(code, &join_lines(&reply));
        Ok(Reply {
            code,
            enhanced_status,
            text: one_line(&text),
        })
    }

    async fn quit(mut self) {
        // Whether it was heard does not matter: the connection is closed in any case.
        let _ = timeout(QUIT_LIMIT, self.smtp.quit()).await;
    }
}

fn is_done(code: u16) -> bool {
    (200..300).contains(&code)
}

fn is_data_wanted(code: u16) -> bool {
    code == 354
}

fn at(stage: Stage) -> impl Fn(Fault) -> (Stage, Fault) {
    move |fault| (stage, fault)
}

/// Whether the answer to EHLO offers an extension (RFC 5321, section 4.1.1.1).
fn offers(answer: &Response, extension: &str) -> bool {
    let mut lines = answer.message().skip(1);
    lines.any(|line| {
        let keyword = line.split(' ').next().unwrap_or_default();
        keyword.eq_ignore_ascii_case(extension)
    })
}

/// MAIL, RCPT and DATA, each after the answer to the one before.
async fn announce(
    smtp: &mut AsyncSmtpConnection,
    mail: &Mail,
    recipients: &[Address],
    limit: Duration,
) -> Result<(), (Stage, Fault)> {
    in_time(limit, smtp.command(mail))
        .await
        .and_then(|reply| expect(&reply, is_done))
        .map_err(at(Stage::Mail))?;
    for recipient in recipients {
        let rcpt = Rcpt::new(recipient.clone(), Vec::new());
        in_time(limit, smtp.command(rcpt))
            .await
            .and_then(|reply| expect(&reply, is_done))
            .map_err(at(Stage::Rcpt))?;
    }
    in_time(limit, smtp.command(Data))
        .await
        .and_then(|reply| expect(&reply, is_data_wanted))
        .map_err(at(Stage::Data))
}

/// The same in one go: three answers for one wait (RFC 2920).
///
/// The first refusal decides, and the answers after it are read all the same, so that the next message finds the
/// connection in step. A server may ask for the content although it refused the recipient (section 3.1): it
/// gets none.
async fn announce_at_once(
    smtp: &mut AsyncSmtpConnection,
    mail: &Mail,
    recipient: &Address,
    limit: Duration,
) -> Result<(), (Stage, Fault)> {
    let rcpt = Rcpt::new(recipient.clone(), Vec::new());
    let all = format!("{mail}{rcpt}{Data}");
    let done = |reply: Response| expect(&reply, is_done);
    let mail = refusal(in_time(limit, smtp.command(all)).await.and_then(done));
    let mail = mail.map_err(at(Stage::Mail))?;
    let rcpt = refusal(in_time(limit, smtp.read_response()).await.and_then(done));
    let rcpt = rcpt.map_err(at(Stage::Rcpt))?;
    let wanted = |reply: Response| expect(&reply, is_data_wanted);
    let data = refusal(in_time(limit, smtp.read_response()).await.and_then(wanted));
    let data = data.map_err(at(Stage::Data))?;
    let refused = mail.map(at(Stage::Mail)).or(rcpt.map(at(Stage::Rcpt)));
    match (refused, data) {
        (None, None) => Ok(()),
        (None, Some(fault)) => Err((Stage::Data, fault)),
        (Some(refused), Some(_)) => Err(refused),
        (Some(refused), None) => {
            let nothing = in_time(limit, smtp.command(".\r\n")).await.and_then(done);
            match refusal(nothing) {
                Ok(Some(_)) => Err(refused),
                Ok(None) => {
                    let reason = "the server took a message whose recipient it had refused";
                    Err((Stage::Data, Fault::Broken(reason.into())))
                }
                Err(fault) => Err((Stage::Data, fault)),
            }
        }
    }
}

/// One answer of several: whether the server refused. What leaves no more answers to wait for is an error.
fn refusal(answer: Result<(), Fault>) -> Result<Option<Fault>, Fault> {
    match answer {
        Ok(()) => Ok(None),
        Err(Fault::Reply { code, text }) if code != 421 => Ok(Some(Fault::Reply { code, text })),
        Err(fault) => Err(fault),
    }
}

/// Marks the moment at which the message's content is out and its final dot follows.
#[derive(Default)]
struct Dot {
    written: AtomicBool,
    due: Notify,
}

impl Dot {
    fn is_written(&self) -> bool {
        self.written.load(Ordering::Relaxed)
    }

    fn mark(&self) {
        self.written.store(true, Ordering::Relaxed);
        self.due.notify_one();
    }
}

/// Writes content and final dot and reads the answer: first against the body's time limit, from
/// the dot on against the dot's.
async fn write_message(
    smtp: &mut AsyncSmtpConnection,
    message: &[u8],
    limits: &SmtpLimits,
    dot: &Dot,
) -> Result<Response, (Stage, Fault)> {
    // lettre writes <CRLF>.<CRLF> at the end: the content's last CRLF is the first half of it.
    let content = message.strip_suffix(b"\r\n").unwrap_or(message);
    // lettre asks for the next part when the one before is written, and writes the dot after the
    // last one: asking past the end is the moment.
    let parts = std::iter::once(content).chain(std::iter::from_fn(|| {
        dot.mark();
        None
    }));
    let watch = async {
        if timeout(limits.body, dot.due.notified()).await.is_err() {
            return limits.body;
        }
        sleep(limits.final_dot).await;
        limits.final_dot
    };
    let result = tokio::select! {
        biased;
        result = smtp.message_iter(parts) => result.map_err(Fault::from),
        limit = watch => Err(Fault::Timeout(limit)),
    };
    let stage = if dot.is_written() {
        Stage::FinalDot
    } else {
        Stage::Body
    };
    result.map_err(|fault| (stage, fault))
}

/// What must hold before a connection is worth opening.
fn check_content(message: &[u8]) -> Result<(), &'static str> {
    if !message.is_ascii() {
        return Err("the message is not ASCII: its parts must be encoded");
    }
    let mut previous = 0;
    for &byte in message.iter().chain(b" ") {
        if (previous == b'\r') != (byte == b'\n') {
            // Servers disagree about where such lines end, which lets a message hide a second one
            // (RFC 5321, section 2.3.8).
            return Err("the message has a line end other than CRLF");
        }
        previous = byte;
    }
    Ok(())
}

// ---------------------------------------------------------------------------------------------
// Answers and faults
// ---------------------------------------------------------------------------------------------

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Check,
    Connect,
    Tls,
    Hello,
    StartTls,
    Auth,
    Reset,
    Mail,
    Rcpt,
    Data,
    Body,
    FinalDot,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Check => "before sending",
            Self::Connect => "connecting to",
            Self::Tls => "TLS handshake",
            Self::Hello => "greeting and EHLO",
            Self::StartTls => "STARTTLS",
            Self::Auth => "AUTH",
            Self::Reset => "RSET",
            Self::Mail => "MAIL FROM",
            Self::Rcpt => "RCPT TO",
            Self::Data => "DATA",
            Self::Body => "message content",
            Self::FinalDot => "end of message",
        })
    }
}

enum Fault {
    /// The server said no, in step.
    Reply { code: u16, text: String },
    /// It did not answer in time.
    Timeout(Duration),
    /// I/O, TLS, end of connection, or an answer that makes no sense here.
    Broken(String),
    /// Ours: this message cannot be sent to this server.
    Local(&'static str),
}

impl Fault {
    /// Whether the connection can take another message.
    ///
    /// 421 announces its end (RFC 5321, section 3.8). 503 and 530 are about the session, which
    /// must begin anew.
    fn leaves_in_step(&self) -> bool {
        match self {
            Self::Reply { code, .. } => !matches!(code, 421 | 503 | 530),
            Self::Local(_) => true,
            Self::Timeout(_) | Self::Broken(_) => false,
        }
    }

    /// Whether trying again is useless, once a session stands.
    ///
    /// "Bad sequence of commands" (503) and "authentication or STARTTLS required" (530, RFC 4954
    /// and RFC 3207) come as permanent codes, but fault the configuration and not the message.
    fn is_permanent(&self) -> bool {
        match self {
            Self::Reply { code, .. } => *code >= 500 && !matches!(code, 503 | 530),
            Self::Local(_) => true,
            Self::Timeout(_) | Self::Broken(_) => false,
        }
    }

    /// Whether the server may have decided otherwise without our knowing.
    fn leaves_unknown(&self) -> bool {
        matches!(self, Self::Timeout(_) | Self::Broken(_))
    }
}

impl From<LettreError> for Fault {
    fn from(error: LettreError) -> Self {
        // Its own words repeat "transient error (450)" and the like; the source is the text of the
        // reply, all lines joined, or the error of the socket.
        let mut text = error.to_string();
        let mut source = error.source();
        while let Some(inner) = source {
            text = inner.to_string();
            source = inner.source();
        }
        match error.status() {
            Some(code) => Self::Reply {
                code: code.into(),
                // An empty reply's source is the empty string.
                text,
            },
            None if error.is_response() => Self::Broken(format!("no valid SMTP answer ({text})")),
            None => Self::Broken(text),
        }
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

async fn in_time<T, E>(
    limit: Duration,
    stage: impl Future<Output = Result<T, E>>,
) -> Result<T, Fault>
where
    Fault: From<E>,
{
    match timeout(limit, stage).await {
        Ok(result) => result.map_err(Fault::from),
        Err(_) => Err(Fault::Timeout(limit)),
    }
}

/// Refuses a positive reply that does not belong to the command: the two sides are out of step.
fn expect(reply: &Response, belongs: impl Fn(u16) -> bool) -> Result<(), Fault> {
    let code = u16::from(reply.code());
    if belongs(code) {
        Ok(())
    } else {
        Err(Fault::Broken(format!(
            "out of step: unexpected reply {code}"
        )))
    }
}

/// The lines of a reply in one; an enhanced status repeated on each line is kept once.
fn join_lines(reply: &Response) -> String {
    let code = u16::from(reply.code());
    let mut lines = reply.message();
    let mut joined = lines.next().unwrap_or_default().to_owned();
    let (first_status, _) = split_status(code, &joined);
    for line in lines {
        let (status, rest) = split_status(code, line);
        joined.push(' ');
        joined.push_str(if status == first_status { &rest } else { line });
    }
    joined
}

/// Splits the enhanced status code off the beginning of a reply's text. Its class must agree with
/// the reply code, else it is mere text (RFC 2034, section 4).
fn split_status(code: u16, text: &str) -> (Option<String>, String) {
    let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
    let mut parts = word.split('.');
    let class = parts.next().unwrap_or_default();
    let is_number =
        |part: &str| (1..=3).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    let numbers = [parts.next(), parts.next()].map(|part| part.is_some_and(is_number));
    if class == (code / 100).to_string() && numbers == [true, true] && parts.next().is_none() {
        (Some(word.to_owned()), rest.trim_start().to_owned())
    } else {
        (None, text.to_owned())
    }
}

/// Text from outside as one short line without control characters.
fn one_line(text: &str) -> String {
    let printable = text.split(|c: char| c.is_control() || c.is_whitespace());
    let words: Vec<&str> = printable.filter(|word| !word.is_empty()).collect();
    words.join(" ").chars().take(TEXT_LIMIT).collect()
}

// ---------------------------------------------------------------------------------------------
// The wire
// ---------------------------------------------------------------------------------------------

/// A socket, or TLS over one, that hands lettre at most one line at a time.
///
/// lettre reads into a buffer that survives STARTTLS: whatever an attacker appends to the
/// plaintext `220` would be read as the first encrypted answer. Here such bytes stay behind, go
/// to the TLS handshake and fail it. It also shows whether a kept connection is quiet: an answer
/// that nobody asked for would make every later one be taken for the answer before it.
#[derive(Clone)]
struct Wire {
    stream: Arc<Mutex<BufReader<Box<dyn Stream>>>>,
    peer: SocketAddr,
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Wire {
    fn new(stream: impl Stream + 'static, peer: SocketAddr) -> Self {
        Self {
            stream: Arc::new(Mutex::new(BufReader::new(Box::new(stream)))),
            peer,
        }
    }

    fn lock(&self) -> MutexGuard<'_, BufReader<Box<dyn Stream>>> {
        // Only one future uses a connection; a panic in the stream ends that connection.
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing has arrived, not even the end or an error.
    fn is_quiet(&self) -> bool {
        let mut stream = self.lock();
        // Nobody waits: the next read registers its own waker.
        let mut nobody = Context::from_waker(Waker::noop());
        Pin::new(&mut *stream)
            .poll_fill_buf(&mut nobody)
            .is_pending()
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

impl AsyncTokioStream for Wire {
    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.peer)
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let mut stream = self.lock();
        let available = ready!(Pin::new(&mut *stream).poll_fill_buf(cx))?;
        let line = match available.iter().position(|&byte| byte == b'\n') {
            Some(end) => &available[..=end],
            None => available,
        };
        let taken = line.len().min(buf.remaining());
        buf.put_slice(&line[..taken]);
        Pin::new(&mut *stream).consume(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock()).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_shutdown(cx)
    }
}
