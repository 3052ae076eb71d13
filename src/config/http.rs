//! Where the service listens, and under which address people reach it.

use std::net::{SocketAddr, ToSocketAddrs};

use clap::Args;
use url::Url;

use super::errors::ConfigErrors;

/// The variable with the address and port to listen on.
pub const LISTEN: &str = "ENLIST_LISTEN";
/// Where the service listens when nothing is set.
pub const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
const PUBLIC_URL: &str = "ENLIST_PUBLIC_URL";

/// Where the service is found.
#[derive(Debug, Clone, Args)]
pub struct HttpArgs {
    /// Address and port to listen on
    #[arg(long, env = LISTEN, default_value = DEFAULT_LISTEN)]
    pub listen: String,
    /// Base of the links in mails [default: http://<listen>]
    #[arg(long, env = PUBLIC_URL)]
    pub public_url: Option<String>,
}

/// Where the service is found, checked.
pub struct Http {
    /// What is listened on.
    pub listen: SocketAddr,
    /// Without a slash at its end. `None`: `http://` and the address that is listened on.
    pub public_url: Option<String>,
}

impl HttpArgs {
    pub(super) fn check(&self, wrong: &mut ConfigErrors) -> Option<Http> {
        let listen = wrong.take(LISTEN, resolve(&self.listen));
        let public_url = self.public_url.as_deref().map(public_url).transpose();
        let public_url = wrong.take(PUBLIC_URL, public_url);
        Some(Http {
            listen: listen?,
            public_url: public_url?,
        })
    }
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
