//! Addresses that work here and nowhere else.

use crate::config::Http;

/// The base of the links in mails: what is configured, else this machine by the port that it listens on.
pub fn public_url(http: &Http, port: u16) -> String {
    http.public_url
        .clone()
        .unwrap_or_else(|| format!("http://{}:{port}", host(http.listen.ip())))
}

/// What is wrong with a public URL, for mails that really go out.
pub fn local_url(public_url: &str) -> Option<String> {
    let host = url::Url::parse(public_url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_default();
    let is_local = host == "localhost" || host.starts_with("127.") || host == "[::1]";
    is_local.then(|| {
        format!(
            "ENLIST_PUBLIC_URL is this machine alone ({public_url}): the links in mails will not work elsewhere"
        )
    })
}

/// What is wrong with the domain of the sender, for mails that really go out.
pub fn local_sender(domain: &str) -> Option<&'static str> {
    (domain == "localhost").then_some(
        "ENLIST_MAIL_FROM is not set: mails come from enlist@localhost, which real mail servers refuse",
    )
}

/// How a link names the address that is listened on: "any" is no place to go to.
fn host(ip: std::net::IpAddr) -> String {
    match ip {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        ip => ip.to_string(),
    }
}
