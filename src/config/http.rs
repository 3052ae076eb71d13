//! Where the service listens, and under which address people reach it.

use std::{
    net::{SocketAddr, ToSocketAddrs},
    time::Duration,
};

use clap::Args;
use url::Url;

use super::{errors::ConfigErrors, values::number};

/// The variable with the address and port to listen on.
pub const LISTEN: &str = "ENLIST_LISTEN";
/// Where the service listens when nothing is set.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
const PUBLIC_URL: &str = "ENLIST_PUBLIC_URL";
const KEEP_ALIVE: &str = "ENLIST_KEEP_ALIVE";
const DRAIN: &str = "ENLIST_DRAIN";
const DEFAULT_KEEP_ALIVE: &str = "75";
const DEFAULT_DRAIN: &str = "5";
/// Nobody waits longer than this for an instance to stop.
const LONGEST_DRAIN: u64 = 600;

/// Where the service is found.
#[derive(Debug, Clone, Args)]
pub struct HttpArgs {
    /// Address and port to listen on
    #[arg(long, env = LISTEN, default_value = DEFAULT_LISTEN)]
    pub listen: String,
    /// Base of the links in mails [default: http://<listen>]
    #[arg(long, env = PUBLIC_URL)]
    pub public_url: Option<String>,
    /// Seconds that an idle connection of a client is kept; longer than the proxy in front keeps it
    #[arg(long, env = KEEP_ALIVE, default_value = DEFAULT_KEEP_ALIVE)]
    pub keep_alive: String,
    /// Seconds between SIGTERM and the end, in which /readyz says no and requests are still answered
    #[arg(long, env = DRAIN, default_value = DEFAULT_DRAIN)]
    pub drain: String,
}

/// Where the service is found, checked.
pub struct Http {
    /// What is listened on.
    pub listen: SocketAddr,
    /// Without a slash at its end. `None`: `http://` and the address that is listened on.
    pub public_url: Option<String>,
    /// How long an idle connection of a client is kept.
    pub keep_alive: Duration,
    /// How long requests are still taken after the service was told to stop.
    pub drain: Duration,
}

impl Default for HttpArgs {
    fn default() -> Self {
        Self {
            listen: DEFAULT_LISTEN.to_owned(),
            public_url: None,
            keep_alive: DEFAULT_KEEP_ALIVE.to_owned(),
            drain: DEFAULT_DRAIN.to_owned(),
        }
    }
}

impl HttpArgs {
    pub(super) fn check(&self, wrong: &mut ConfigErrors) -> Option<Http> {
        let listen = wrong.take(LISTEN, resolve(&self.listen));
        let public_url = self.public_url.as_deref().map(public_url).transpose();
        let public_url = wrong.take(PUBLIC_URL, public_url);
        let keep_alive = wrong.take(KEEP_ALIVE, number(&self.keep_alive));
        let drain = wrong.take(DRAIN, drain(&self.drain));
        Some(Http {
            listen: listen?,
            public_url: public_url?,
            keep_alive: Duration::from_secs(keep_alive?.get().into()),
            drain: drain?,
        })
    }
}

fn drain(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse()
        .ok()
        .filter(|seconds| *seconds <= LONGEST_DRAIN);
    seconds
        .map(Duration::from_secs)
        .ok_or_else(|| format!("`{text}` is not a number of seconds up to {LONGEST_DRAIN}"))
}

fn resolve(text: &str) -> Result<SocketAddr, String> {
    text.to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| format!("`{text}` is not an address and port, such as 127.0.0.1:8080"))
}

fn public_url(text: &str) -> Result<String, String> {
    let hint = "expected the address that people reach, such as https://enroll.example.com";
    let url =
        Url::parse(text).map_err(|error| format!("`{text}` is not a URL ({error}); {hint}"))?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if is_plain {
        Ok(url.as_str().trim_end_matches('/').to_owned())
    } else {
        Err(format!(
            "`{text}` has more or less than scheme, host and path; {hint}"
        ))
    }
}
