//! The URL of the database: with time limits, and never in an error's text.

use diesel::{Connection, PgConnection, connection::SimpleConnection};

use super::path::FIRST_OURS;

/// One connection, outside of any pool.
///
/// # Errors
/// When the database cannot be reached; the text holds no password.
pub fn connect(url: &str) -> Result<PgConnection, String> {
    let told = |error: &dyn std::fmt::Display| redacted(&error.to_string(), url);
    let mut connection =
        PgConnection::establish(&with_limits(url)).map_err(|error| told(&error))?;
    connection
        .batch_execute(FIRST_OURS)
        .map_err(|error| told(&error))?;
    Ok(connection)
}

/// Adds time limits to a connection URL, unless it sets them itself: a host that does not answer
/// must not hold a request for minutes.
pub(super) fn with_limits(url: &str) -> String {
    let mut limited = url.to_owned();
    for (name, value) in [("connect_timeout", "3"), ("tcp_user_timeout", "10000")] {
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
        assert_eq!(
            with_limits("postgres://h/db"),
            "postgres://h/db?connect_timeout=3&tcp_user_timeout=10000"
        );
        assert_eq!(
            with_limits("postgres://a,b/db?connect_timeout=9"),
            "postgres://a,b/db?connect_timeout=9&tcp_user_timeout=10000"
        );
        assert_eq!(
            with_limits("host=/run dbname=x"),
            "host=/run dbname=x connect_timeout=3 tcp_user_timeout=10000"
        );
    }
}
