//! The URL of the database: with time limits, and never in an error's text.

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

/// Adds time limits to a connection URL, unless it sets them itself: a host that does not answer must not hold a request
/// for minutes. Of several hosts only the one that writes will do.
pub(super) fn with_limits(url: &str, is_one_of_several: bool) -> String {
    let mut limited = url.to_owned();
    let writes = is_one_of_several.then_some(("target_session_attrs", "read-write"));
    for (name, value) in LIMITS.into_iter().chain(writes) {
        if !limited.contains(name) {
            let joint = match (url.contains("://"), limited.contains('?')) {
                (false, _) => ' ',
                (true, true) => '&',
                (true, false) => '?',
            };
            limited.push(joint);
            limited.push_str(&format!("{name}={value}"));
        }
    }
    limited
}

/// An error text of the database library, which may quote the URL, without the password in it.
pub(super) fn redacted(text: &str, url: &str) -> String {
    let password = url
        .split_once("://")
        .and_then(|(_, rest)| rest.split('/').next())
        .and_then(|authority| authority.rsplit_once('@'))
        .and_then(|(user, _)| user.split_once(':'))
        .map(|(_, password)| password)
        .filter(|password| !password.is_empty());
    let hidden = text.replace(url, "(the URL)");
    match password {
        Some(password) => hidden.replace(password, "***"),
        None => hidden,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_show_no_password() {
        let url = "postgres://enlist:s3cr3t@db/enlist";
        let told = redacted(&format!("invalid option \"{url}?x\" near s3cr3t"), url);
        assert!(
            !told.contains("s3cr3t") && told.contains("(the URL)"),
            "{told}"
        );
        assert_eq!(
            redacted("no such host", "host=/run dbname=x"),
            "no such host"
        );
    }

    #[test]
    fn limits_are_added_once_and_in_the_urls_own_way() {
        let added = "fallback_application_name=enlist connect_timeout=2 tcp_user_timeout=5000 keepalives_idle=5 \
                     keepalives_interval=2 keepalives_count=3";
        let list = with_limits("host=/run dbname=x", false);
        assert_eq!(list, format!("host=/run dbname=x {added}"));
        let added = added.replace(' ', "&");
        let url = with_limits("postgres://h/db", false);
        assert_eq!(url, format!("postgres://h/db?{added}"));
        let set = with_limits("postgres://h/db?connect_timeout=9", false);
        let others = added.replace("&connect_timeout=2", "");
        assert_eq!(set, format!("postgres://h/db?connect_timeout=9&{others}"));
    }
}
