//! How a token server's answer is read. Pure.

use std::time::Duration;

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::{Map, Value};

use super::{
    error::{OauthFault, Refusal},
    remedy::remedy,
};

/// How long a token lives whose answer does not say: RFC 6749, section 5.1 only recommends that it does.
const USUAL_LIFE: f64 = 300.0;

/// The shortest and the longest life that is believed, in seconds: neither a server that gives tokens without one is asked for
/// every mail, nor does one outlive a day.
const LIVES: (f64, f64) = (60.0, 86_400.0);

/// The longest time that a server can ask to be left alone for.
const PATIENCE: Duration = Duration::from_secs(3600);

/// The longest token of a mail server's patience: a line of AUTH has at most 12,288 octets (RFC 4954, section 4), in base64.
const TOKEN_LIMIT: usize = 8192;

/// What a token server gave.
pub(super) struct Granted {
    pub(super) token: SecretString,
    pub(super) life: Duration,
    /// In place of the one that was used.
    pub(super) refresh_token: Option<SecretString>,
}

/// An answer as HTTP brings it.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: &'a [u8],
}

impl Answer<'_> {
    /// Reads RFC 6749, sections 5.1 and 5.2. `hide` masks the server's words.
    pub(super) fn read(&self, hide: impl Fn(&str) -> String) -> Result<Granted, OauthFault> {
        let status = self.status;
        let members = match serde_json::from_slice(self.body) {
            Ok(Value::Object(members)) => members,
            _ => Map::new(),
        };
        let text = |name: &str| match members.get(name) {
            Some(Value::String(text)) if !text.is_empty() => Some(text.as_str()),
            _ => None,
        };
        if matches!(status, 408 | 429 | 500..) {
            return Err(self.busy());
        }
        if let Some(code) = text("error") {
            // Of the authorisation endpoint (RFC 6749, section 4.1.2.1), and Microsoft's says them here, too.
            if matches!(code, "temporarily_unavailable" | "server_error") {
                return Err(self.busy());
            }
            let words = text("error_description");
            let vendor_code = words.and_then(entra_code);
            return Err(OauthFault::Refused(Box::new(Refusal {
                remedy: remedy(code, vendor_code.as_deref()),
                code: hide(code),
                vendor_code,
                // Behind the first line are trace ids.
                words: words.and_then(|words| words.lines().next()).map(hide),
            })));
        }
        let strange = |what: &str| OauthFault::Strange(what.to_owned());
        match status {
            200..=299 => {}
            300..=399 => {
                return Err(OauthFault::Strange(format!(
                    "it answers {status} and points elsewhere, where no secret is sent"
                )));
            }
            _ => {
                return Err(OauthFault::Strange(format!(
                    "it answers {status}, and not as a token server does"
                )));
            }
        }
        let Some(token) = text("access_token") else {
            return Err(strange("its answer has no access token"));
        };
        // RFC 6749, appendix A.12; anything else could say more to the mail server than a token may.
        if token.len() > TOKEN_LIMIT || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(strange("its access token is none that can be sent"));
        }
        if text("token_type").is_some_and(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(strange("its access token is not of the type Bearer"));
        }
        Ok(Granted {
            token: token.into(),
            life: life(members.get("expires_in")),
            refresh_token: text("refresh_token").map(SecretString::from),
        })
    }

    fn busy(&self) -> OauthFault {
        OauthFault::Busy {
            status: self.status,
            retry_after: self.retry_after,
        }
    }
}

/// Seconds, as a number or, of some servers, as a string.
fn life(expires_in: Option<&Value>) -> Duration {
    let seconds = match expires_in {
        Some(Value::Number(number)) => number.as_f64(),
        Some(Value::String(text)) => text.trim().parse().ok(),
        _ => None,
    };
    let seconds = seconds.filter(|seconds: &f64| seconds.is_finite());
    Duration::from_secs_f64(seconds.unwrap_or(USUAL_LIFE).clamp(LIVES.0, LIVES.1))
}

/// `AADSTS` with its number, which Microsoft's words begin with.
fn entra_code(words: &str) -> Option<String> {
    const MARK: &str = "AADSTS";
    let from = &words[words.find(MARK)?..];
    let digits = from[MARK.len()..]
        .bytes()
        .take_while(u8::is_ascii_digit)
        .count();
    (1..=9)
        .contains(&digits)
        .then(|| from[..MARK.len() + digits].to_owned())
}

/// `Retry-After` in seconds or as a date (RFC 9110, section 10.2.3).
pub(super) fn retry_after(value: &str, now: DateTime<Utc>) -> Option<Duration> {
    let value = value.trim();
    let wait = match value.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let at = DateTime::parse_from_rfc2822(value).ok()?;
            (at.to_utc() - now).to_std().unwrap_or_default()
        }
    };
    Some(wait.min(PATIENCE))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn read(status: u16, body: &str) -> Result<Granted, OauthFault> {
        let answer = Answer {
            status,
            retry_after: None,
            body: body.as_bytes(),
        };
        answer.read(str::to_owned)
    }

    #[test]
    fn tokens_live_as_long_as_the_answer_says_within_reason() {
        for (expires_in, seconds) in [
            (r#""expires_in":3599"#, 3599),
            // As Microsoft's older endpoint has it.
            (r#""expires_in":"3600""#, 3600),
            (r#""expires_in":3599.0"#, 3599),
            (r#""expires_in":0"#, 60),
            (r#""expires_in":-5"#, 60),
            (r#""expires_in":1e300"#, 86_400),
            (r#""expires_in":"NaN""#, 300),
            (r#""expires_in":"soon""#, 300),
            (r#""expires_in":null"#, 300),
            (r#""scope":"x""#, 300),
        ] {
            let body = format!(r#"{{"access_token":"t","token_type":"bearer",{expires_in}}}"#);
            let granted = read(200, &body).ok().unwrap();
            assert_eq!(granted.life, Duration::from_secs(seconds), "{expires_in}");
            assert_eq!(granted.token.expose_secret(), "t");
            assert!(granted.refresh_token.is_none());
        }
        let rotated = read(200, r#"{"access_token":"t","refresh_token":"r"}"#);
        let rotated = rotated.ok().and_then(|granted| granted.refresh_token);
        assert_eq!(rotated.unwrap().expose_secret(), "r");
    }

    #[test]
    fn what_is_no_answer_is_told_from_a_server_that_is_busy() {
        for (status, body) in [
            (200, ""),
            (200, "<html>Sign in to the network</html>"),
            (200, "[]"),
            (200, r#"{"access_token":""}"#),
            (200, r#"{"access_token":7}"#),
            (200, r#"{"access_token":"a\u0001b"}"#),
            (200, r#"{"access_token":"a b"}"#),
            (200, r#"{"access_token":"é"}"#),
            (200, r#"{"access_token":"t","token_type":"mac"}"#),
            (302, ""),
            (404, "Not Found"),
            (403, "{}"),
        ] {
            assert!(
                matches!(read(status, body), Err(OauthFault::Strange(_))),
                "{status} {body}"
            );
        }
        let long = format!(r#"{{"access_token":"{}"}}"#, "a".repeat(TOKEN_LIMIT + 1));
        assert!(matches!(read(200, &long), Err(OauthFault::Strange(_))));
        for (status, body) in [
            (429, ""),
            (408, ""),
            (500, r#"{"error":"invalid_client"}"#),
            (503, "<html>"),
            (599, ""),
            (400, r#"{"error":"temporarily_unavailable"}"#),
            (400, r#"{"error":"server_error"}"#),
        ] {
            assert!(
                matches!(read(status, body), Err(OauthFault::Busy { .. })),
                "{status} {body}"
            );
        }
    }

    /// RFC 6749, section 5.2; Microsoft's list of sign-in error codes; Google's page on OAuth 2.0 for web servers.
    #[test]
    fn a_refusal_says_what_to_do() {
        for (status, body, code, part) in [
            (
                401,
                r#"{"error":"invalid_client","error_description":"AADSTS7000222: The provided client secret keys for app 'x' are expired.\r\nTrace ID: 1"}"#,
                Some("AADSTS7000222"),
                "has expired",
            ),
            (
                401,
                r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret provided."}"#,
                Some("AADSTS7000215"),
                "not its id",
            ),
            (
                400,
                r#"{"error":"unauthorized_client","error_description":"AADSTS700016: Application not found"}"#,
                Some("AADSTS700016"),
                "not in this tenant",
            ),
            (
                400,
                r#"{"error":"invalid_request","error_description":"AADSTS90002: Tenant 'x' not found."}"#,
                Some("AADSTS90002"),
                "no such tenant",
            ),
            (
                400,
                r#"{"error":"invalid_scope","error_description":"AADSTS1002012: The provided value for scope x is not valid."}"#,
                Some("AADSTS1002012"),
                "/.default",
            ),
            (
                400,
                r#"{"error":"invalid_grant","error_description":"AADSTS65001: no consent"}"#,
                Some("AADSTS65001"),
                "consented",
            ),
            // Not in our table: the standard's word decides.
            (
                400,
                r#"{"error":"invalid_grant","error_description":"AADSTS700082: The refresh token has expired"}"#,
                Some("AADSTS700082"),
                "sign in again",
            ),
            (
                400,
                r#"{"error":"invalid_grant","error_description":"Token has been expired or revoked."}"#,
                None,
                "sign in again",
            ),
            (
                400,
                r#"{"error":"invalid_scope","error_description":"Some requested scopes were invalid."}"#,
                None,
                "ENLIST_SMTP_OAUTH_SCOPE",
            ),
            (
                401,
                r#"{"error":"invalid_client","error_description":"AADSTS"}"#,
                None,
                "ENLIST_SMTP_OAUTH_CLIENT_ID",
            ),
            (
                400,
                r#"{"error":"unsupported_grant_type"}"#,
                None,
                "refresh token",
            ),
            (
                400,
                r#"{"error":"something_new"}"#,
                None,
                "look the code up",
            ),
            // Some servers refuse with 200.
            (
                200,
                r#"{"error":"invalid_client"}"#,
                None,
                "ENLIST_SMTP_OAUTH_CLIENT_SECRET",
            ),
        ] {
            let Err(OauthFault::Refused(refusal)) = read(status, body) else {
                panic!("not refused: {body}");
            };
            assert_eq!(refusal.vendor_code.as_deref(), code, "{body}");
            let told = refusal.to_string();
            assert!(told.contains(part), "{told}");
            assert!(
                told.starts_with(&format!("it refuses ({}", refusal.code)),
                "{told}"
            );
            assert!(!told.contains("Trace ID"), "{told}");
        }
    }

    #[test]
    fn patience_is_asked_for_in_seconds_or_until_a_date() {
        let now = DateTime::from_timestamp(1_445_412_440, 0).unwrap();
        for (value, seconds) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("99999999999", Some(3600)),
            ("Wed, 21 Oct 2015 07:28:00 GMT", Some(40)),
            ("Wed, 21 Oct 2015 07:26:00 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
        ] {
            let wait = seconds.map(Duration::from_secs);
            assert_eq!(retry_after(value, now), wait, "{value}");
        }
    }
}
