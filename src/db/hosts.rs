//! The hosts that a URL names, and which of them served last.

use std::sync::atomic::{AtomicUsize, Ordering};

use diesel::{Connection, PgConnection, connection::SimpleConnection};

use super::{
    path::FIRST_OURS,
    url::{redacted, with_limits},
};

/// One connection, outside of any pool.
///
/// # Errors
/// When the database cannot be reached; the text holds no password.
pub fn connect(url: &str) -> Result<PgConnection, String> {
    let mut connection = Hosts::of(url).connect()?;
    connection
        .batch_execute(FIRST_OURS)
        .map_err(|error| redacted(&error.to_string(), url))?;
    Ok(connection)
}

/// The hosts of a URL. With several of them the library would ask each in turn, for every connection, and wait for those
/// that are gone: here the one that served last is asked first.
#[derive(Debug)]
pub(super) struct Hosts {
    /// The whole URL, which errors may quote.
    url: String,
    /// A URL for each.
    urls: Vec<String>,
    served_last: AtomicUsize,
}

impl Hosts {
    pub(super) fn of(url: &str) -> Self {
        let urls = each(url).unwrap_or_else(|| vec![url.to_owned()]);
        let is_one_of_several = urls.len() > 1 || names_several(url);
        let with_limits = |url: &String| with_limits(url, is_one_of_several);
        Self {
            url: url.to_owned(),
            urls: urls.iter().map(with_limits).collect(),
            served_last: AtomicUsize::new(0),
        }
    }

    /// A connection to the first that takes one.
    pub(super) fn connect(&self) -> Result<PgConnection, String> {
        let first = self.served_last.load(Ordering::Relaxed);
        let mut errors = Vec::new();
        for next in 0..self.urls.len() {
            let at = (first + next) % self.urls.len();
            match PgConnection::establish(&self.urls[at]) {
                Ok(connection) => {
                    self.served_last.store(at, Ordering::Relaxed);
                    return Ok(connection);
                }
                Err(error) => {
                    let error = redacted(&error.to_string(), &self.urls[at]);
                    errors.push(redacted(&error, &self.url).trim_end().to_owned());
                }
            }
        }
        Err(errors.join("; "))
    }
}

/// A URL for each host, if it names several where hosts usually stand.
fn each(url: &str) -> Option<Vec<String>> {
    let (scheme, rest) = url.split_once("://")?;
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, rest) = rest.split_at(end);
    let (user, hosts) = match authority.rsplit_once('@') {
        Some((user, hosts)) => (format!("{user}@"), hosts),
        None => (String::new(), authority),
    };
    let hosts = hosts.split(',');
    let urls: Vec<String> = hosts
        .map(|host| format!("{scheme}://{user}{host}{rest}"))
        .collect();
    (urls.len() > 1).then_some(urls)
}

/// Whether a list of settings names several hosts.
fn names_several(url: &str) -> bool {
    let settings = url.split(['?', '&', ' ']);
    settings
        .filter_map(|setting| setting.trim().split_once('='))
        .any(|(name, value)| {
            matches!(name.trim(), "host" | "hostaddr")
                && (value.contains(',') || value.to_ascii_uppercase().contains("%2C"))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_host_has_a_url_and_only_the_one_that_writes_will_do() {
        let of = |url: &str| Hosts::of(url).urls;
        let limits = "fallback_application_name=enlist&connect_timeout=2&tcp_user_timeout=5000&keepalives_idle=5&\
                      keepalives_interval=2&keepalives_count=3";
        assert_eq!(
            of("postgres://u:p@a:1,b/x"),
            [
                format!("postgres://u:p@a:1/x?{limits}&target_session_attrs=read-write"),
                format!("postgres://u:p@b/x?{limits}&target_session_attrs=read-write"),
            ]
        );
        assert_eq!(
            of("postgres://a,b?target_session_attrs=any"),
            [
                format!("postgres://a?target_session_attrs=any&{limits}"),
                format!("postgres://b?target_session_attrs=any&{limits}"),
            ]
        );
        assert_eq!(of("postgres://a/x"), [format!("postgres://a/x?{limits}")]);
        for list in [
            "host=a,b dbname=x",
            "postgres:///x?host=a,b",
            "postgres:///x?host=a%2cb",
        ] {
            let urls = of(list);
            assert_eq!(urls.len(), 1, "{list}");
            assert!(
                urls[0].ends_with("target_session_attrs=read-write"),
                "{urls:?}"
            );
        }
    }
}
