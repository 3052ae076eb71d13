//! Addresses that work here and nowhere else.

use crate::config::{Http, Mail};

/// The base of the links in mails: what is configured, else this machine by the port that it listens on.
pub fn public_url(http: &Http, port: u16) -> String {
    http.public_url
        .clone()
        .unwrap_or_else(|| format!("http://{}:{port}", host(http.listen.ip())))
}

/// What is wrong with the public URL.
pub fn of_links(http: &Http, mail: &Mail, public_url: &str) -> Option<String> {
    if http.public_url.is_none() {
        return Some(format!(
            "ENLIST_PUBLIC_URL is not set: links in mails begin with {public_url}; set it to the address that people's \
             devices can reach"
        ));
    }
    let host = url::Url::parse(public_url)
        .ok()
        .and_then(|url| url.host_str().map(str::to_owned))
        .unwrap_or_default();
    let is_local = host == "localhost" || host.starts_with("127.") || host == "[::1]";
    (is_local && !mail.smtp.is_loopback()).then(|| {
        format!(
            "ENLIST_PUBLIC_URL is this machine alone ({public_url}): the links in mails will not work elsewhere"
        )
    })
}

/// What is wrong with who mails are from.
pub fn of_sender(mail: &Mail) -> Option<String> {
    let sender = &mail.from.email;
    if !mail.has_sender() {
        Some(format!(
            "ENLIST_MAIL_FROM is not set: mails come from {sender}, which real mail servers refuse"
        ))
    } else {
        (sender.domain() == "localhost" && !mail.smtp.is_loopback()).then(|| {
            format!("ENLIST_MAIL_FROM is {sender}, which no other machine knows: real mail servers refuse it")
        })
    }
}

/// How a link names the address that is listened on: "any" is no place to go to.
fn host(ip: std::net::IpAddr) -> String {
    match ip {
        ip if ip.is_unspecified() => "localhost".to_owned(),
        std::net::IpAddr::V6(ip) => format!("[{ip}]"),
        ip => ip.to_string(),
    }
}
