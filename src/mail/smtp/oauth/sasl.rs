//! What mail servers and we say to each other about a token. Pure.
//!
//! Google's page on the XOAUTH2 mechanism and Microsoft's on OAuth for SMTP describe it.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;

use super::settings::masked;

/// The client's response, in base64 as it goes over the wire.
///
/// It is longer than a command line may be (RFC 5321, section 4.5.3.1.4), so it is the answer to the 334 that `AUTH XOAUTH2`
/// alone gets (RFC 4954, section 4). Neither user nor token has control characters: both are checked before.
pub fn xoauth2(user: &str, token: &str) -> String {
    BASE64_STANDARD.encode(format!("user={user}\x01auth=Bearer {token}\x01\x01"))
}

/// What a server says with a 334 *after* the response: why it does not take the token. The client answers with an empty line
/// and gets the 535.
///
/// `None`: it is not such a challenge.
pub fn challenge_words(text: &str) -> Option<String> {
    let json = BASE64_STANDARD.decode(text.trim()).ok()?;
    let Value::Object(members) = serde_json::from_slice(&json).ok()? else {
        return None;
    };
    let word = |name: &str| match members.get(name)? {
        Value::String(text) if !text.is_empty() => Some(masked(text)),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    };
    let status = word("status")?;
    // The words are those of RFC 7628, section 3.2.2, which servers that speak both mechanisms use.
    let meaning = match status.as_str() {
        "400" | "invalid_request" => "the token and the user do not fit together",
        "401" | "invalid_token" => {
            "the token is not valid here: it is expired, revoked, or for something else than this mailbox"
        }
        "403" | "insufficient_scope" => "the token does not allow sending",
        _ => "the token is not taken",
    };
    let scope = word("scope").map(|scope| format!("; the scope has to be {scope}"));
    Some(format!(
        "{meaning} (status {status}){}",
        scope.unwrap_or_default()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of Microsoft's page, and its base64 there.
    #[test]
    fn the_response_is_that_of_the_vendors_example() {
        let response = xoauth2(
            "test@contoso.onmicrosoft.com",
            "EwBAAl3BAAUFFpUAo7J3Ve0bjLBWZWCclRC3EoAA",
        );
        assert_eq!(
            response,
            "dXNlcj10ZXN0QGNvbnRvc28ub25taWNyb3NvZnQuY29tAWF1dGg9QmVhcmVyIEV3QkFBbDNCQUFVRkZwVUFvN0ozVmUwYmpMQldaV0NjbFJDM0VvQUEBAQ=="
        );
    }

    #[test]
    fn challenges_are_put_into_words() {
        for (json, words) in [
            (
                r#"{"status":"401","schemes":"bearer","scope":"https://mail.google.com/"}"#,
                Some(
                    "the token is not valid here: it is expired, revoked, or for something else than this mailbox (status 401); the scope has to be https://mail.google.com/",
                ),
            ),
            (
                r#"{"status":"400","schemes":"Bearer","scope":"https://mail.google.com/"}"#,
                Some(
                    "the token and the user do not fit together (status 400); the scope has to be https://mail.google.com/",
                ),
            ),
            (
                r#"{"status":403}"#,
                Some("the token does not allow sending (status 403)"),
            ),
            (
                r#"{"status":"invalid_token"}"#,
                Some(
                    "the token is not valid here: it is expired, revoked, or for something else than this mailbox (status invalid_token)",
                ),
            ),
            (
                r#"{"status":"418"}"#,
                Some("the token is not taken (status 418)"),
            ),
            (r#"{"schemes":"bearer"}"#, None),
            (r#"["401"]"#, None),
            ("Username:", None),
        ] {
            assert_eq!(
                challenge_words(&BASE64_STANDARD.encode(json)).as_deref(),
                words,
                "{json}"
            );
        }
        assert_eq!(challenge_words(""), None);
        assert_eq!(challenge_words("not base64!"), None);
    }
}
