//! The relay, and the way to it: addresses, encryption, greeting, sign-in.

use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use lettre::transport::smtp::extension::ClientId;
use secrecy::ExposeSecret;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::Instant;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tracing::debug;

use super::{
    about::{about, remedy},
    auth,
    delivery::{Failure, TOO_LARGE},
    dialogue::{Dialogue, in_time},
    fault::{Fault, Stage, expect, is_done, too_large},
    limits::SmtpLimits,
    oauth::TokenSource,
    offer::Offer,
    reply::one_line,
    session::Session,
    tls::{SmtpSetupError, Tls},
    trace::Trace,
    url::{Login, SmtpUrl, TlsMode},
};

/// A mail server, and how it is spoken to.
pub(super) struct Relay {
    url: SmtpUrl,
    tls: Option<Tls>,
    hello: ClientId,
    tokens: Option<TokenSource>,
    pub(super) limits: SmtpLimits,
    opened: AtomicU64,
}

/// Why a connection does not stand.
struct Unopened {
    stage: Stage,
    fault: Fault,
    /// Whether it may with another access token.
    is_worth_another: bool,
}

impl From<(Stage, Fault)> for Unopened {
    fn from((stage, fault): (Stage, Fault)) -> Self {
        Self {
            stage,
            fault,
            is_worth_another: false,
        }
    }
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("url", &self.url)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Marks where a fault happened.
fn at(stage: Stage) -> impl Fn(Fault) -> (Stage, Fault) {
    move |fault| (stage, fault)
}

impl Relay {
    /// # Errors
    /// When certificates are to be checked and there is nothing to check them against, or one of `roots` is none.
    pub(super) fn new(
        url: SmtpUrl,
        hello: ClientId,
        limits: SmtpLimits,
        roots: &[CertificateDer<'static>],
        tokens: Option<TokenSource>,
    ) -> Result<Self, SmtpSetupError> {
        Ok(Self {
            tls: Tls::new(&url, roots)?,
            url,
            hello,
            tokens,
            limits,
            opened: AtomicU64::new(0),
        })
    }

    /// A connection that is greeted and signed in, for the first message.
    pub(super) async fn open(&self, trace: &mut Trace<'_>) -> Result<Session, (Stage, Fault)> {
        let opened = match self.try_to_open(trace).await {
            Err(unopened) if unopened.is_worth_another => self.try_to_open(trace).await,
            opened => opened,
        };
        opened.map_err(|unopened| (unopened.stage, unopened.fault))
    }

    async fn try_to_open(&self, trace: &mut Trace<'_>) -> Result<Session, Unopened> {
        let number = self.opened.fetch_add(1, Ordering::Relaxed) + 1;
        let (limit, url) = (self.limits.command, &self.url);
        trace.begin(Stage::Connect);
        let tcp = self.connect().await.map_err(at(Stage::Connect))?;
        let broken = |error: std::io::Error| (Stage::Connect, Fault::from(error));
        // Commands are written one by one: Nagle's algorithm would hold each back until the one before is
        // acknowledged, 40 ms later.
        tcp.set_nodelay(true).map_err(broken)?;
        trace.connected(tcp.peer_addr().map_err(broken)?);
        let implicit = self.tls.as_ref().filter(|_| url.tls == TlsMode::Implicit);
        let mut dialogue = match implicit {
            Some(tls) => {
                trace.begin(Stage::Tls);
                let encrypted = in_time(limit, tls.over(tcp)).await;
                let (dialogue, version) = encrypted.map_err(at(Stage::Tls))?;
                trace.encrypted(version, url.checks_certificate());
                dialogue
            }
            None => Dialogue::new(tcp),
        };
        trace.begin(Stage::Hello);
        let greeting = dialogue.reply(limit).await.map_err(at(Stage::Hello))?;
        expect(greeting, is_done).map_err(at(Stage::Hello))?;
        let mut offer = self.hello(&mut dialogue).await.map_err(at(Stage::Hello))?;
        trace.greeted(&offer);
        let mut encrypted = implicit.is_some();
        if let Some(tls) = self.tls.as_ref().filter(|_| !encrypted) {
            if offer.starttls {
                trace.begin(Stage::StartTls);
                let upgraded = self.upgrade(dialogue, tls).await;
                let (over_tls, version) = upgraded.map_err(at(Stage::StartTls))?;
                dialogue = over_tls;
                trace.encrypted(version, url.checks_certificate());
                trace.begin(Stage::Hello);
                offer = self.hello(&mut dialogue).await.map_err(at(Stage::Hello))?;
                trace.greeted(&offer);
                encrypted = true;
            } else if url.tls == TlsMode::Required {
                let reason = "the server does not offer it, and tls=required is set";
                return Err((Stage::StartTls, Fault::Broken(reason.into())).into());
            }
        }
        if !encrypted {
            trace.clear(url.tls);
        }
        trace.begin(Stage::Auth);
        if url.user().is_some() && !url.permits_credentials(encrypted) {
            let reason = "the server offers no encryption, and user and password are not sent \
                          in clear to another host";
            return Err((Stage::Auth, Fault::Broken(reason.into())).into());
        }
        if let Some(login) = &url.login {
            auth::with_password(&mut dialogue, &offer, login, limit)
                .await
                .map_err(at(Stage::Auth))?;
        }
        if let (Some(user), Some(tokens)) = (&url.token_user, &self.tokens) {
            auth::with_token(&mut dialogue, &offer, user, tokens, limit)
                .await
                .map_err(|(fault, is_worth_another)| Unopened {
                    stage: Stage::Auth,
                    fault,
                    is_worth_another,
                })?;
        }
        if let Some(user) = url.user() {
            trace.signed_in(user);
        }
        debug!(connection = number, encrypted, "connected");
        Ok(Session::new(dialogue, offer, number))
    }

    /// Says who we are, and learns what the server offers. One that does not know EHLO is greeted in the old way
    /// (RFC 5321 §3.2).
    async fn hello(&self, dialogue: &mut Dialogue) -> Result<Offer, Fault> {
        let (name, limit) = (&self.hello, self.limits.command);
        let answer = dialogue.command(&format!("EHLO {name}\r\n"), limit).await?;
        if matches!(answer.code, 500..=504) {
            let answer = dialogue.command(&format!("HELO {name}\r\n"), limit).await?;
            return expect(answer, is_done).map(|_| Offer::default());
        }
        expect(answer, is_done).map(|answer| Offer::of(&answer))
    }

    async fn upgrade(
        &self,
        mut dialogue: Dialogue,
        tls: &Tls,
    ) -> Result<(Dialogue, &'static str), Fault> {
        let limit = self.limits.command;
        let answer = dialogue.command("STARTTLS\r\n", limit).await?;
        expect(answer, |code| code == 220)?;
        in_time(limit, tls.over(dialogue.into_stream()?)).await
    }

    /// Tries the host's addresses in turn, each with its share of the time that is left.
    async fn connect(&self) -> Result<TcpStream, Fault> {
        let deadline = Instant::now() + self.limits.connect;
        let host = self.url.host();
        let looking = async { Ok(lookup_host((host, self.url.port)).await?) };
        let addresses: Vec<SocketAddr> = in_time(self.limits.connect, looking).await?.collect();
        let mut last = Fault::Broken("the host has no address".into());
        for (tried, address) in addresses.iter().enumerate() {
            // At most a handful of addresses: the conversion cannot truncate.
            let share = (addresses.len() - tried) as u32;
            let limit = deadline.saturating_duration_since(Instant::now()) / share;
            let connecting = async { Ok(TcpStream::connect(address).await?) };
            match in_time(limit, connecting).await {
                Ok(stream) => return Ok(stream),
                // What its share was would only confuse: the others had theirs.
                Err(Fault::Timeout(_)) => last = Fault::Timeout(self.limits.connect),
                Err(fault) => last = fault,
            }
        }
        Err(last)
    }

    /// The host and port that are connected to.
    pub(super) fn name(&self) -> String {
        format!("{}:{}", self.url.host(), self.url.port)
    }

    /// What is told of a fault, without credentials.
    pub(super) fn failure(&self, stage: Stage, fault: Fault, handed_over: bool) -> Failure {
        let about = about(stage, &fault);
        let remedy = remedy(stage, &fault, about);
        let (code, enhanced_status, text) = match fault {
            Fault::Reply(reply) => (Some(reply.code), reply.split().0, reply.shown()),
            Fault::Timeout(limit) => (None, None, format!("no answer within {limit:?}")),
            Fault::Broken(text) | Fault::Local(text) => (None, None, text),
            Fault::TooLarge { size, most } => {
                (None, Some(TOO_LARGE.to_owned()), too_large(size, most))
            }
        };
        debug!(stage = %stage, code, enhanced_status, handed_over, ?about, "not accepted");
        let reason = match stage {
            Stage::Check => text,
            Stage::Connect => format!("{stage} {}: {text}", self.name()),
            _ => format!("{stage}: {text}"),
        };
        Failure {
            code,
            enhanced_status,
            reason: one_line(&self.hide_credentials(reason)),
            handed_over,
            about,
            stage,
            remedy,
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
