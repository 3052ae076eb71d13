//! Who may call: how often, through which proxies, and from which frontends.

use std::net::IpAddr;

use clap::Args;
use ipnet::IpNet;
use url::Url;

use super::{
    errors::ConfigErrors,
    values::{list, number},
};
use crate::http::{
    limits::Rates,
    proxies::{Proxies, ProxyHeader},
};

const LIMIT_CLIENT: &str = "ENLIST_LIMIT_CLIENT";
const LIMIT_KEY: &str = "ENLIST_LIMIT_KEY";
const LIMIT_SECRETS: &str = "ENLIST_LIMIT_SECRETS";
const TRUSTED_PROXIES: &str = "ENLIST_TRUSTED_PROXIES";
pub(super) const CORS_ORIGINS: &str = "ENLIST_CORS_ORIGINS";
const DEFAULT_LIMIT_CLIENT: &str = "50";
const DEFAULT_LIMIT_KEY: &str = "200";
const DEFAULT_LIMIT_SECRETS: &str = "1";

/// Limits, proxies and frontends.
#[derive(Debug, Clone, Args)]
pub struct CallerArgs {
    /// Requests a second for each client address
    #[arg(long, env = LIMIT_CLIENT, default_value = DEFAULT_LIMIT_CLIENT)]
    pub limit_client: String,
    /// Requests a second for each API key or operator
    #[arg(long, env = LIMIT_KEY, default_value = DEFAULT_LIMIT_KEY)]
    pub limit_key: String,
    /// Sign-ins and public enrollments a second for each address
    #[arg(long, env = LIMIT_SECRETS, default_value = DEFAULT_LIMIT_SECRETS)]
    pub limit_secrets: String,
    /// Proxies in front, comma-separated: 10.0.0.5, 192.0.2.0/24. Who called them is read from the header that they write
    #[arg(long, env = TRUSTED_PROXIES, default_value = "")]
    pub trusted_proxies: String,
    /// Where those proxies say who called
    #[arg(long, env = "ENLIST_PROXY_HEADER", default_value = "x-forwarded-for")]
    pub proxy_header: ProxyHeader,
    /// Origins of the frontend, comma-separated: https://admin.example.com
    #[arg(long, env = CORS_ORIGINS, default_value = "")]
    pub cors_origins: String,
}

/// Limits, proxies and frontends, checked.
pub struct Callers {
    /// How often somebody may call.
    pub limits: Rates,
    /// The proxies in front.
    pub proxies: Proxies,
    /// Origins whose pages may call.
    pub cors_origins: Vec<String>,
}

impl Default for CallerArgs {
    fn default() -> Self {
        Self {
            limit_client: DEFAULT_LIMIT_CLIENT.to_owned(),
            limit_key: DEFAULT_LIMIT_KEY.to_owned(),
            limit_secrets: DEFAULT_LIMIT_SECRETS.to_owned(),
            trusted_proxies: String::new(),
            proxy_header: ProxyHeader::XForwardedFor,
            cors_origins: String::new(),
        }
    }
}

impl CallerArgs {
    pub(super) fn check(&self, wrong: &mut ConfigErrors) -> Option<Callers> {
        let client = wrong.take(LIMIT_CLIENT, number(&self.limit_client));
        let key = wrong.take(LIMIT_KEY, number(&self.limit_key));
        let secrets = wrong.take(LIMIT_SECRETS, number(&self.limit_secrets));
        let trusted = wrong.take(TRUSTED_PROXIES, list(&self.trusted_proxies, network));
        let cors_origins = wrong.take(CORS_ORIGINS, list(&self.cors_origins, origin));
        Some(Callers {
            limits: Rates {
                client: client?,
                key: key?,
                secrets: secrets?,
            },
            proxies: Proxies {
                trusted: trusted?,
                header: self.proxy_header,
            },
            cors_origins: cors_origins?,
        })
    }
}

/// An address or a network, such as 10.0.0.5 or 192.0.2.0/24.
fn network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    address.or_else(|_| text.parse()).map_err(|_| {
        format!("`{text}` is neither an address nor a network, such as 10.0.0.5 or 192.0.2.0/24")
    })
}

fn origin(text: &str) -> Result<String, String> {
    Url::parse(text)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"))
        .map(|url| url.origin().ascii_serialization())
        .filter(|origin| origin == text)
        .ok_or_else(|| {
            format!(
                "`{text}` is not an origin, such as https://admin.example.com (no path, no slash at the end)"
            )
        })
}
