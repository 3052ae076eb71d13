//! Encryption: whose certificate is checked, and against what.

use std::fmt;
use std::sync::Arc;

use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use tokio_rustls::rustls::{
    ClientConfig, DigitallySignedStruct, Error as TlsError, ProtocolVersion, RootCertStore,
    SignatureScheme,
};

use super::{
    dialogue::{Dialogue, Stream},
    fault::Fault,
    url::{SmtpUrl, TlsMode},
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

fn setup_error(error: impl fmt::Display) -> SmtpSetupError {
    SmtpSetupError::Tls(error.to_string())
}

/// How a connection is encrypted.
pub(super) struct Tls {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl Tls {
    /// `None` where connections are never encrypted.
    ///
    /// # Errors
    /// When certificates are to be checked and there is nothing to check them against, or one of `roots` is none.
    pub(super) fn new(
        url: &SmtpUrl,
        roots: &[CertificateDer<'static>],
    ) -> Result<Option<Self>, SmtpSetupError> {
        if url.tls == TlsMode::None {
            return Ok(None);
        }
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(setup_error)?;
        let config = if url.checks_certificate() {
            builder
                .with_root_certificates(trusted_roots(roots)?)
                .with_no_client_auth()
        } else {
            builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(Anyone(provider)))
                .with_no_client_auth()
        };
        Ok(Some(Self {
            connector: TlsConnector::from(Arc::new(config)),
            name: ServerName::try_from(url.host()).map_err(setup_error)?,
        }))
    }

    /// Goes on encrypted. Gives the protocol's version, too.
    pub(super) async fn over(
        &self,
        stream: impl Stream + 'static,
    ) -> Result<(Dialogue, &'static str), Fault> {
        let encrypted = self.connector.connect(self.name.clone(), stream).await?;
        let version = match encrypted.get_ref().1.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            Some(ProtocolVersion::TLSv1_2) => "TLS 1.2",
            _ => "TLS",
        };
        Ok((Dialogue::new(encrypted), version))
    }
}

/// The machine's root certificates and `extra`. Machines have some that no library reads: those are left out.
///
/// # Errors
/// When there are none, or one of `extra` is no certificate.
pub fn trusted_roots(extra: &[CertificateDer<'static>]) -> Result<RootCertStore, SmtpSetupError> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for root in extra {
        store.add(root.clone()).map_err(setup_error)?;
    }
    if store.is_empty() {
        return Err(SmtpSetupError::NoRoots);
    }
    Ok(store)
}

/// Takes any certificate: see [`TlsMode::Opportunistic`]. The signature is not looked at either, since it would only
/// prove that the server has the key of a certificate that anybody could have made; so certificates that the library
/// cannot read, such as X.509 v1, do as well as others.
#[derive(Debug)]
struct Anyone(Arc<CryptoProvider>);

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
