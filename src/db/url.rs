//! The URL of the database, in the parts that libpq sees in it: checked, with time limits, and a host each. What is wrong with it
//! is said in words of our own, since libpq's quote it, and the password in it. Pure.

use std::time::Duration;

/// What is added to each URL, unless it says it itself: how long a host may not answer, and who it is that calls. Seconds,
/// but the user timeout, which is in milliseconds.
const LIMITS: [(&str, &str); 6] = [
    ("fallback_application_name", "enlist"),
    ("connect_timeout", "2"),
    ("tcp_user_timeout", "5000"),
    ("keepalives_idle", "5"),
    ("keepalives_interval", "2"),
    ("keepalives_count", "3"),
];

/// Addresses that a host may have.
const ADDRESSES: u32 = 3;
/// Seconds for each, where a URL wants to wait for ever.
const NO_TIMEOUT: u64 = 30;

const ENCODE: &str = "cannot be read; in a user or password, / is written %2F, @ %40, : %3A, % %25, # %23 and a blank %20";

/// `scheme://user@hosts/database?settings`, in parts.
struct Parts<'a> {
    scheme: &'a str,
    /// With its `@`; empty where there is none.
    user: &'a str,
    hosts: &'a str,
    /// From the `/` or `?` on.
    rest: &'a str,
}

impl<'a> Parts<'a> {
    /// As libpq takes it apart: the user ends at the first `@` that no `/` precedes.
    fn of(url: &'a str) -> Option<Self> {
        let (scheme, after) = url.split_once("://")?;
        let end = after.find(['@', '/']);
        let has_user = end.is_some_and(|end| after[end..].starts_with('@'));
        let (user, after) = after.split_at(end.filter(|_| has_user).map_or(0, |at| at + 1));
        let (hosts, rest) = after.split_at(after.find(['/', '?']).unwrap_or(after.len()));
        Some(Self {
            scheme,
            user,
            hosts,
            rest,
        })
    }

    fn settings(&self) -> &'a str {
        self.rest
            .split_once('?')
            .map_or("", |(_, settings)| settings)
    }

    fn sets(&self, name: &str) -> bool {
        let settings = self.settings().split('&');
        settings
            .filter_map(|setting| setting.split_once('='))
            .any(|(set, _)| set == name)
    }
}

/// A URL or a list of settings, if it can be one; blanks and line breaks around it are nobody's.
///
/// # Errors
/// What is wrong, without any of it.
pub fn usable(url: &str) -> Result<&str, &'static str> {
    let url = url.trim();
    if ['"', '\''].iter().any(|quote| url.starts_with(*quote)) {
        return Err("begins with a quote, which is part of the value: take the quotes away");
    }
    let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
    if !is_url && !url.contains("://") && url.contains('=') {
        return usable_list(url);
    }
    let Some(parts) = Parts::of(url).filter(|_| is_url) else {
        return Err("does not begin with postgres:// (nor is it a list such as host=… dbname=…)");
    };
    let is_encoded = url.split('%').skip(1).all(|rest| {
        rest.get(..2)
            .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
    });
    if !is_encoded {
        return Err("has a `%` that is not part of a percent-encoding; write %25 for it");
    }
    let (before_settings, _) = parts.rest.split_once('?').unwrap_or((parts.rest, ""));
    let is_readable = parts.hosts.split(',').all(is_host)
        && !url.contains("%00")
        && !parts.hosts.contains('@')
        && !before_settings.contains('@')
        && !url.contains([' ', '\t', '\n', '\r'])
        && parts
            .settings()
            .split('&')
            .all(|setting| setting.is_empty() || setting.contains('='));
    if is_readable { Ok(url) } else { Err(ENCODE) }
}

/// `host`, `host:port`, or an address in brackets in the place of the host.
fn is_host(text: &str) -> bool {
    let port = match text.strip_prefix('[') {
        Some(text) => text
            .split_once(']')
            .filter(|(address, _)| !address.is_empty())
            .map(|(_, after)| after),
        None => Some(text.find(':').map_or("", |at| &text[at..])),
    };
    port.is_some_and(|port| {
        port.is_empty()
            || port
                .strip_prefix(':')
                .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
    })
}

/// What the library says of a URL. It would quote what it cannot read.
pub(super) fn unquoted(said: String, url: &str) -> String {
    let parts = Parts::of(url);
    let password = parts.and_then(|parts| parts.user.strip_suffix('@')?.split_once(':'));
    let is_quoted = !said.starts_with("connection to server")
        && (said.contains("://")
            || password
                .is_some_and(|(_, password)| !password.is_empty() && said.contains(password)));
    if is_quoted { ENCODE.to_owned() } else { said }
}

/// `name=value …`; single quotes belong around a value with blanks.
fn usable_list(list: &str) -> Result<&str, &'static str> {
    let mut rest = list;
    while !rest.is_empty() {
        let is_quoted = rest
            .split_once('=')
            .filter(|(name, _)| {
                let name = name.trim();
                !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            })
            .map(|(_, value)| value.trim_start());
        let Some(value) = is_quoted else {
            return Err(
                "cannot be read as name=value …: single quotes belong around a value with blanks",
            );
        };
        rest = after_value(value).trim_start();
    }
    Ok(list)
}

/// What follows a value of a list.
fn after_value(value: &str) -> &str {
    let (is_quoted, value) = match value.strip_prefix('\'') {
        Some(value) => (true, value),
        None => (false, value),
    };
    let mut is_escaped = false;
    let end = value.char_indices().find(|(_, letter)| {
        let ends = !is_escaped
            && if is_quoted {
                *letter == '\''
            } else {
                letter.is_whitespace()
            };
        is_escaped = !is_escaped && *letter == '\\';
        ends
    });
    end.map_or("", |(at, letter)| &value[at + letter.len_utf8()..])
}

/// A URL for each of the hosts, with time limits. Of several only the one that writes will do. What names hosts elsewhere
/// than where they usually stand is left to the library, which asks them in turn.
pub(super) fn each(url: &str) -> Vec<String> {
    let Some(parts) = Parts::of(url) else {
        return vec![with_limits(url, names_several(url))];
    };
    let is_whole = ["host", "hostaddr", "port"]
        .iter()
        .any(|name| parts.sets(name));
    if is_whole || !parts.hosts.contains(',') {
        let is_one_of_several = parts.hosts.contains(',') || names_several(parts.settings());
        return vec![with_limits(url, is_one_of_several)];
    }
    let Parts {
        scheme, user, rest, ..
    } = parts;
    let hosts = parts.hosts.split(',');
    hosts
        .map(|host| with_limits(&format!("{scheme}://{user}{host}{rest}"), true))
        .collect()
}

/// Adds time limits, unless it sets them itself: a host that does not answer must not hold a request for minutes.
fn with_limits(url: &str, is_one_of_several: bool) -> String {
    let parts = Parts::of(url);
    let sets = |name: &str| match &parts {
        Some(parts) => parts.sets(name),
        None => settings_of_list(url).any(|(set, _)| set == name),
    };
    let writes = is_one_of_several.then_some(("target_session_attrs", "read-write"));
    let added = LIMITS.into_iter().chain(writes);
    let added: Vec<String> = added
        .filter(|(name, _)| !sets(name))
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    let joint = match &parts {
        None => " ",
        Some(parts) if !parts.rest.contains('?') => "?",
        Some(parts) if parts.settings().is_empty() => "",
        Some(_) => "&",
    };
    let between = if parts.is_some() { "&" } else { " " };
    format!("{url}{joint}{}", added.join(between))
}

fn settings_of_list(list: &str) -> impl Iterator<Item = (&str, &str)> {
    let settings = list.split_whitespace();
    settings.filter_map(|setting| setting.split_once('='))
}

/// Whether settings name several hosts.
fn names_several(settings: &str) -> bool {
    let settings = settings.split(|letter: char| letter == '&' || letter.is_whitespace());
    settings
        .filter_map(|setting| setting.split_once('='))
        .any(|(name, value)| {
            matches!(name, "host" | "hostaddr")
                && (value.contains(',') || value.to_ascii_uppercase().contains("%2C"))
        })
}

/// How long it may take in all to be let in: its time for an address, for each of those that it may have.
pub(super) fn let_in_within(url: &str) -> Duration {
    let settings = Parts::of(url).map_or(url, |parts| parts.settings());
    let settings = settings.split(|letter: char| letter == '&' || letter.is_whitespace());
    let timeout = settings
        .filter_map(|setting| setting.strip_prefix("connect_timeout="))
        .find_map(|value| value.parse().ok())
        .filter(|seconds| *seconds > 0)
        .unwrap_or(NO_TIMEOUT);
    let hosts = 1 + url.matches(',').count();
    let addresses = u32::try_from(hosts).unwrap_or(u32::MAX).max(ADDRESSES);
    Duration::from_secs(timeout).saturating_mul(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libpq_would_misread_or_quote_is_refused_without_a_word_of_it() {
        for (url, told) in [
            ("mysql://h/db", "does not begin"),
            ("", "does not begin"),
            ("\"postgres://h/db\"", "quote"),
            ("'postgres://h/db'", "quote"),
            ("postgres://u:10%@h/db", "%25"),
            ("postgres://u:S3CRET/x@h/db", "%2F"),
            ("postgres://u:1/S3CRET@h/db", "%2F"),
            ("postgres://u:S3@CRET@h/db", "%40"),
            ("postgres://u:S3?a/x@h/db", "%2F"),
            ("postgres://u:S3 CRET@h/db", "blank"),
            ("postgres://u:x@h:5432a/db", "%3A"),
            ("postgres://h/db?S3CRET", "%2F"),
            ("postgres://u:S3CRET@[]:5432/db", "%2F"),
            ("postgres://u:S3CRET@[::1]x:5432/db", "%2F"),
            ("postgres://u:S3CRET@[/db", "%2F"),
            ("postgres://u:S3CRET%00@h/db", "%2F"),
            ("postgres://h/db?password=S3CRET%00", "%2F"),
            ("host=h password=my S3CRET", "single quotes"),
            ("host=h password='S3CRET dbname", ""),
            ("host h", "does not begin"),
        ] {
            let Err(problem) = usable(url) else {
                assert!(told.is_empty(), "{url}");
                continue;
            };
            assert!(
                problem.contains(told) && !problem.contains("S3"),
                "{url}: {problem}"
            );
        }
    }

    #[test]
    fn what_the_library_quotes_is_not_said() {
        let url = "postgres://enlist:s3cr3t@db/enlist";
        for (said, shown) in [
            (&format!("invalid option in \"{url}?x\"")[..], ENCODE),
            ("invalid integer value \"s3cr3t\"", ENCODE),
            (
                "could not translate host name \"db\"",
                "could not translate host name \"db\"",
            ),
            (
                "connection to server at \"db\": FATAL: database \"s3cr3t\" does not exist",
                "connection to server at \"db\": FATAL: database \"s3cr3t\" does not exist",
            ),
        ] {
            assert_eq!(unquoted(said.to_owned(), url), shown);
        }
    }

    #[test]
    fn what_libpq_takes_is_taken() {
        for url in [
            "postgres://h/db",
            "postgresql://u@h/db",
            "postgres://",
            "postgres:///db?host=/run/postgresql&port=5433",
            "postgres://u:p%40ss%2F@[::1]:5432,b:5433/db",
            "postgres://u:a?b@h/db",
            "postgres://u:a#b&c=d^[]{}+:ü@h/db",
            "postgres://%2Frun%2Fpostgresql:5433/db",
            "postgres://u:x@h/db?",
            "postgres://h/db?application_name=a@b",
            "host=h dbname=x",
            "host = h dbname = 'my x' password='it\\'s = 1'",
            "service=enlist",
        ] {
            assert_eq!(usable(url), Ok(url));
            assert_eq!(usable(&format!(" {url}\r\n")), Ok(url));
        }
    }

    #[test]
    fn limits_are_added_once_and_in_the_urls_own_way() {
        let added = "fallback_application_name=enlist connect_timeout=2 tcp_user_timeout=5000 keepalives_idle=5 \
                     keepalives_interval=2 keepalives_count=3";
        let as_list = each("host=/run dbname=x");
        assert_eq!(as_list, [format!("host=/run dbname=x {added}")]);
        let added = added.replace(' ', "&");
        for (url, joint) in [
            ("postgres://h/db", "?"),
            ("postgres://h/db?", ""),
            ("postgres://u:a?b@h/db", "?"),
            ("postgres://connect_timeout=1@h/db", "?"),
            ("postgres://h/db?sslmode=require", "&"),
        ] {
            assert_eq!(each(url), [format!("{url}{joint}{added}")]);
        }
        let others = added.replace("&connect_timeout=2", "");
        let set = "postgres://h/db?connect_timeout=9";
        assert_eq!(each(set), [format!("{set}&{others}")]);
        for (url, seconds) in [
            (set, 27),
            ("postgres://connect_timeout=9@h/db", 6),
            ("postgres://h/db?connect_timeout=0", 90),
            ("host=a,b,c,d dbname=x", 8),
        ] {
            let within = let_in_within(&each(url)[0]);
            assert_eq!(within, Duration::from_secs(seconds), "{url}");
        }
    }

    #[test]
    fn each_host_has_a_url_and_only_the_one_that_writes_will_do() {
        let limits = "fallback_application_name=enlist&connect_timeout=2&tcp_user_timeout=5000&keepalives_idle=5&\
                      keepalives_interval=2&keepalives_count=3";
        let writes = "target_session_attrs=read-write";
        assert_eq!(
            each("postgres://u:p?@a:1,b/x"),
            [
                format!("postgres://u:p?@a:1/x?{limits}&{writes}"),
                format!("postgres://u:p?@b/x?{limits}&{writes}"),
            ]
        );
        assert_eq!(
            each("postgres://a,b?target_session_attrs=any"),
            [
                format!("postgres://a?target_session_attrs=any&{limits}"),
                format!("postgres://b?target_session_attrs=any&{limits}"),
            ]
        );
        for whole in [
            "host=a,b dbname=x",
            "postgres:///x?host=a,b",
            "postgres:///x?host=a%2cb",
            "postgres://a,b/x?port=1,2",
            "postgres://a,b/x?hostaddr=192.0.2.1,192.0.2.2",
        ] {
            let urls = each(whole);
            assert_eq!(urls.len(), 1, "{whole}");
            assert!(
                urls[0].starts_with(whole) && urls[0].ends_with(writes),
                "{urls:?}"
            );
        }
    }
}
