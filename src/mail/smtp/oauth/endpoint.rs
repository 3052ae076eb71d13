//! The token server, over HTTP.

use std::error::Error as _;
use std::time::Duration;

use chrono::{DateTime, Utc};
use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, redirect};
use secrecy::SecretString;
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::{
    answer::{Answer, Granted, retry_after},
    error::{OauthFault, OauthSetupError},
    settings::{OauthSettings, masked},
};

/// The longest answer that is read. Real ones have three KiB.
const ANSWER_LIMIT: usize = 64 * 1024;

pub(super) struct Endpoint {
    pub(super) settings: OauthSettings,
    client: Client,
}

impl Endpoint {
    /// # Errors
    /// When TLS cannot be set up.
    pub(super) fn new(
        settings: OauthSettings,
        roots: RootCertStore,
    ) -> Result<Self, OauthSetupError> {
        let tls = ClientConfig::builder_with_provider(ring::default_provider().into())
            .with_safe_default_protocol_versions()
            .map_err(|error| OauthSetupError(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut client = Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("enlist/", env!("CARGO_PKG_VERSION")))
            // Whoever is pointed to has no business with the secret.
            .redirect(redirect::Policy::none())
            .referer(false)
            // A token an hour: a connection is not kept for the next one.
            .pool_max_idle_per_host(0);
        client = if settings.is_loopback() {
            client.no_proxy()
        } else {
            client.https_only(true)
        };
        let client = client
            .build()
            .map_err(|error| OauthSetupError(innermost(&error)))?;
        Ok(Self { settings, client })
    }

    /// Asks once, for `limit` altogether. `now` is for dates in the answer.
    pub(super) async fn fetch(
        &self,
        refresh_token: Option<&SecretString>,
        limit: Duration,
        now: DateTime<Utc>,
    ) -> Result<Granted, OauthFault> {
        match timeout(limit, self.ask(refresh_token, now)).await {
            Ok(result) => result,
            Err(_) => Err(OauthFault::Timeout(limit)),
        }
    }

    async fn ask(
        &self,
        refresh_token: Option<&SecretString>,
        now: DateTime<Utc>,
    ) -> Result<Granted, OauthFault> {
        let away = |error: reqwest::Error| OauthFault::Away(innermost(&error));
        let request = self
            .client
            .post(self.settings.token_url.clone())
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(self.settings.form(refresh_token));
        let mut response = request.send().await.map_err(away)?;
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(away)? {
            if body.len() + chunk.len() > ANSWER_LIMIT {
                let what = "its answer is longer than 64 KiB".to_owned();
                return Err(OauthFault::Strange(what));
            }
            body.extend_from_slice(&chunk);
        }
        let patience = response.headers().get(RETRY_AFTER);
        let answer = Answer {
            status: response.status().as_u16(),
            retry_after: patience
                .and_then(|value| value.to_str().ok())
                .and_then(|value| retry_after(value, now)),
            body: &body,
        };
        answer.read(|words| self.settings.hide(refresh_token, words))
    }
}

/// The reason at the bottom: the layers above it only say that something failed, and name the URL.
fn innermost(error: &reqwest::Error) -> String {
    let mut reason = "no connection".to_owned();
    let mut source = error.source();
    while let Some(inner) = source {
        reason = inner.to_string();
        source = inner.source();
    }
    masked(&reason)
}
