//! The relay, and the way to it: addresses, encryption, greeting, sign-in.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::Ehlo;
use lettre::transport::smtp::extension::ClientId;
use secrecy::ExposeSecret;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tracing::debug;

use super::{
    delivery::{Failure, ServerState},
    fault::{Fault, Stage, expect, in_time, one_line, split_status},
    limits::SmtpLimits,
    session::{Session, offers},
    url::{Login, SmtpUrl, TlsMode},
    wire::Wire,
};

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

enum Security {
    Plain,
    StartTls(Box<TlsParameters>),
    Implicit(TlsConnector, ServerName<'static>),
}

/// A mail server, and how it is spoken to.
pub(super) struct Relay {
    url: SmtpUrl,
    security: Security,
    hello: ClientId,
    pub(super) limits: SmtpLimits,
    opened: AtomicU64,
}

impl fmt::Debug for Relay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Relay")
            .field("url", &self.url)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

impl Relay {
    /// # Errors
    /// When certificates are to be checked and there is nothing to check them against, or one of `roots` is none.
    pub(super) fn new(
        url: SmtpUrl,
        hello: ClientId,
        limits: SmtpLimits,
        roots: &[CertificateDer<'static>],
    ) -> Result<Self, SmtpSetupError> {
        Ok(Self {
            security: Security::new(&url, roots)?,
            url,
            hello,
            limits,
            opened: AtomicU64::new(0),
        })
    }

    /// A connection that is greeted and signed in, for the first message.
    pub(super) async fn open(&self) -> Result<Session, (Stage, Fault)> {
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

    /// What is told of a fault, without credentials.
    pub(super) fn failure(&self, stage: Stage, fault: Fault, handed_over: bool) -> Failure {
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
