//! Where tokens come from, and what is kept out of words. Pure.

use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};

use super::super::url::is_this_machine;

/// The longest words of a token server that are shown, in characters.
const WORDS_LIMIT: usize = 200;

/// The shortest run of token characters that is taken for a secret, as everywhere in words of others.
const SECRET_LENGTH: usize = 20;

/// Where tokens come from, and who asks for them. `Debug` shows no secret.
#[derive(Clone, Debug)]
pub struct OauthSettings {
    /// The token endpoint. Over `http` to this machine only.
    pub token_url: Url,
    /// The client's id.
    pub client_id: String,
    /// The client's secret. `None`: a public client, with a refresh token.
    pub client_secret: Option<SecretString>,
    /// What the token is good for. `None`: what the refresh token is.
    pub scope: Option<String>,
    /// With one, it is exchanged (RFC 6749, section 6); without, the client gets tokens for itself (section 4.4).
    pub refresh_token: Option<SecretString>,
}

impl OauthSettings {
    /// Whether the token server is this machine.
    pub(super) fn is_loopback(&self) -> bool {
        Self::is_of_this_machine(&self.token_url)
    }

    /// Whether a token URL leads to this machine.
    pub fn is_of_this_machine(token_url: &Url) -> bool {
        token_url.host().as_ref().is_some_and(is_this_machine)
    }

    /// The token server's name.
    pub(super) fn host(&self) -> String {
        self.token_url.host_str().unwrap_or_default().to_owned()
    }

    /// The request's body. The secret is in it, as both Microsoft and Google document it.
    pub(super) fn form(&self, refresh_token: Option<&SecretString>) -> String {
        let mut form = form_urlencoded::Serializer::new(String::new());
        match refresh_token {
            Some(token) => form
                .append_pair("grant_type", "refresh_token")
                .append_pair("refresh_token", token.expose_secret()),
            None => form.append_pair("grant_type", "client_credentials"),
        };
        form.append_pair("client_id", &self.client_id);
        if let Some(secret) = &self.client_secret {
            form.append_pair("client_secret", secret.expose_secret());
        }
        if let Some(scope) = &self.scope {
            form.append_pair("scope", scope);
        }
        form.finish()
    }

    /// A token server's words in one short line, without the secrets that it was sent and without what looks like one.
    pub(super) fn hide(&self, refresh_token: Option<&SecretString>, words: &str) -> String {
        let mut words = words.to_owned();
        for secret in [self.client_secret.as_ref(), refresh_token] {
            if let Some(secret) = secret.map(ExposeSecret::expose_secret) {
                let sent: String = form_urlencoded::byte_serialize(secret.as_bytes()).collect();
                words = words.replace(secret, "***").replace(&sent, "***");
            }
        }
        masked(&words)
    }
}

/// Words of others in one short line; what looks like a secret is `***`.
pub(super) fn masked(words: &str) -> String {
    let is_of_a_token = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '~');
    let mut shown = String::new();
    for word in words.split(|c: char| c.is_control() || c.is_whitespace()) {
        if word.is_empty() {
            continue;
        }
        if !shown.is_empty() {
            shown.push(' ');
        }
        let mut rest = word;
        while !rest.is_empty() {
            let end = rest.find(|c| !is_of_a_token(c)).unwrap_or(rest.len());
            let (run, behind) = rest.split_at(end);
            shown.push_str(if run.len() < SECRET_LENGTH {
                run
            } else {
                "***"
            });
            let next = behind.find(is_of_a_token).unwrap_or(behind.len());
            shown.push_str(&behind[..next]);
            rest = &behind[next..];
        }
    }
    shown.chars().take(WORDS_LIMIT).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lose_secrets_by_value_and_by_shape() {
        let settings = OauthSettings {
            token_url: "https://login.example.com/token".parse().unwrap(),
            client_id: "enlist".into(),
            client_secret: Some("pass+word".into()),
            scope: None,
            refresh_token: None,
        };
        let refresh_token = "1//short".into();
        for (words, shown) in [
            (
                "The secret\r\n pass+word\tis wrong.",
                "The secret *** is wrong.",
            ),
            ("client_secret=pass%2Bword&x", "client_secret=***&x"),
            ("Bad token 1//short", "Bad token ***"),
            (
                "the app '11111111-2222-3333-4444-555555555555'.",
                "the app '***'.",
            ),
            (
                "eyJ0eXAiOiJKV1QiLCJhbGciOiJS.eyJhdWQiOiJodHRwczovL291d",
                "***.***",
            ),
            (
                "The scope https://outlook.office365.com/.default isn't valid",
                "The scope https://outlook.office365.com/.default isn't valid",
            ),
            ("schlüssel größer", "schlüssel größer"),
            ("", ""),
        ] {
            assert_eq!(settings.hide(Some(&refresh_token), words), shown);
        }
        assert_eq!(masked(&"a b ".repeat(1000)).chars().count(), WORDS_LIMIT);
        assert!(!format!("{settings:?}").contains("pass+word"));
    }
}
