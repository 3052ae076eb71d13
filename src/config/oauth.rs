//! Access tokens for a mail server that takes no passwords.

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::errors::ConfigErrors;
use crate::mail::smtp::oauth::OauthSettings;

const TOKEN_URL: &str = "ENLIST_SMTP_OAUTH_TOKEN_URL";
const CLIENT_ID: &str = "ENLIST_SMTP_OAUTH_CLIENT_ID";
const CLIENT_SECRET: &str = "ENLIST_SMTP_OAUTH_CLIENT_SECRET";
const SCOPE: &str = "ENLIST_SMTP_OAUTH_SCOPE";
const REFRESH_TOKEN: &str = "ENLIST_SMTP_OAUTH_REFRESH_TOKEN";

const NEEDED: &str = "is not set, but others of ENLIST_SMTP_OAUTH_… are; set it, or none of them";

/// Where access tokens for the mail server come from. The SMTP URL then has a user and no password.
#[derive(Debug, Clone, Default, Args)]
pub struct OauthArgs {
    /// Where access tokens for the mail server come from (OAuth2): https://login.microsoftonline.com/<tenant>/oauth2/v2.0/token
    #[arg(long, env = TOKEN_URL)]
    pub smtp_oauth_token_url: Option<String>,
    /// Who asks for them
    #[arg(long, env = CLIENT_ID)]
    pub smtp_oauth_client_id: Option<String>,
    /// The secret of who asks for them
    #[arg(long, env = CLIENT_SECRET, hide_env_values = true)]
    pub smtp_oauth_client_secret: Option<SecretString>,
    /// What they are good for: https://outlook.office365.com/.default
    #[arg(long, env = SCOPE)]
    pub smtp_oauth_scope: Option<String>,
    /// What they are exchanged for, where the mailbox signed in once (Gmail)
    #[arg(long, env = REFRESH_TOKEN, hide_env_values = true)]
    pub smtp_oauth_refresh_token: Option<SecretString>,
}

/// A setting that is empty is not given.
fn given(value: Option<&String>) -> Option<&str> {
    value.map(String::as_str).filter(|text| !text.is_empty())
}

fn given_secret(value: Option<&SecretString>) -> Option<&str> {
    value
        .map(ExposeSecret::expose_secret)
        .filter(|text| !text.is_empty())
}

impl OauthArgs {
    /// Whether any of it is set.
    pub(super) fn is_given(&self) -> bool {
        given(self.smtp_oauth_token_url.as_ref()).is_some()
            || given(self.smtp_oauth_client_id.as_ref()).is_some()
            || given_secret(self.smtp_oauth_client_secret.as_ref()).is_some()
            || given(self.smtp_oauth_scope.as_ref()).is_some()
            || given_secret(self.smtp_oauth_refresh_token.as_ref()).is_some()
    }

    /// All of it together, or `Some(None)` where nothing is set.
    pub(super) fn check(&self, wrong: &mut ConfigErrors) -> Option<Option<OauthSettings>> {
        if !self.is_given() {
            return Some(None);
        }
        let token_url = given(self.smtp_oauth_token_url.as_ref());
        let token_url = wrong.take(TOKEN_URL, token_url.ok_or(NEEDED.into()).and_then(url));
        let client_id = given(self.smtp_oauth_client_id.as_ref());
        let client_id = wrong.take(
            CLIENT_ID,
            client_id.ok_or(NEEDED.into()).and_then(printable),
        );
        let refresh_token = given_secret(self.smtp_oauth_refresh_token.as_ref());
        // Without one, the client asks for itself, and has to show who it is and say what for.
        let alone = refresh_token.is_none();
        let needed = |value: Option<&str>, check: fn(&str) -> Result<String, String>| match value {
            Some(value) => check(value).map(Some),
            None if alone => Err(format!(
                "is not set; without {REFRESH_TOKEN} it is needed beside {TOKEN_URL}"
            )),
            None => Ok(None),
        };
        let client_secret = given_secret(self.smtp_oauth_client_secret.as_ref());
        let client_secret = wrong.take(CLIENT_SECRET, needed(client_secret, printable));
        let scope = given(self.smtp_oauth_scope.as_ref());
        let scope = wrong.take(SCOPE, needed(scope, scopes));
        let refresh_token = wrong.take(REFRESH_TOKEN, refresh_token.map(printable).transpose());
        Some(Some(OauthSettings {
            token_url: token_url?,
            client_id: client_id?,
            client_secret: client_secret?.map(SecretString::from),
            scope: scope?,
            refresh_token: refresh_token?.map(SecretString::from),
        }))
    }
}

/// The token endpoint (RFC 6749, section 3.2).
fn url(text: &str) -> Result<Url, String> {
    if text.contains(['<', '>', '{', '}']) {
        return Err("still has a place to fill in: write your tenant's id there".into());
    }
    let url = Url::parse(text).map_err(|error| format!("is not a URL ({error})"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(format!(
            "has credentials in it; they belong in {CLIENT_ID} and {CLIENT_SECRET}"
        ));
    }
    if url.fragment().is_some() {
        return Err("has a fragment (#…), which a token server never sees".into());
    }
    let is_loopback = OauthSettings::is_of_this_machine(&url);
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback => Ok(url),
        _ => Err("has to begin with https://, since the client's secret is sent there".into()),
    }
}

/// RFC 6749, appendix A: ids, secrets and tokens. The value is not shown.
fn printable(text: &str) -> Result<String, String> {
    if text
        .bytes()
        .all(|byte| byte == b' ' || byte.is_ascii_graphic())
        && text.trim() == text
    {
        Ok(text.to_owned())
    } else {
        Err("has a character that it cannot have: it is printable ASCII, with no blank or line end around it".into())
    }
}

/// RFC 6749, section 3.3.
fn scopes(text: &str) -> Result<String, String> {
    let is_scope = |part: &str| {
        part.bytes()
            .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\')
    };
    let scopes: Vec<&str> = text.split_whitespace().collect();
    if !scopes.is_empty() && scopes.iter().all(|part| is_scope(part)) {
        Ok(scopes.join(" "))
    } else {
        Err(format!(
            "`{text}` is no scope; expected one such as https://outlook.office365.com/.default"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Mail, MailArgs};

    const ENTRA: &str = "https://login.microsoftonline.com/contoso.example/oauth2/v2.0/token";
    const OFFICE: &str = "smtp://sender%40example.com@smtp.office365.com:587?tls=required";

    /// URL of the mail server, token URL, client id, its secret, scope, refresh token; empty ones are not given.
    fn check(values: [&str; 6]) -> Result<Mail, String> {
        let [smtp, token_url, id, secret, scope, refresh_token] = values.map(str::to_owned);
        let args = MailArgs {
            smtp_url: Some(smtp.into()),
            oauth: OauthArgs {
                smtp_oauth_token_url: Some(token_url),
                smtp_oauth_client_id: Some(id),
                smtp_oauth_client_secret: Some(secret.into()),
                smtp_oauth_scope: Some(scope),
                smtp_oauth_refresh_token: Some(refresh_token.into()),
            },
            ..MailArgs::default()
        };
        let mut wrong = ConfigErrors::default();
        let mail = args.check("Example", &mut wrong);
        let told = wrong.to_string();
        assert!(!told.contains("s3cret"), "{told}");
        match mail {
            Some(mail) if told.is_empty() => Ok(mail),
            _ => Err(told),
        }
    }

    #[test]
    fn the_recipes_are_taken() {
        let scope = "https://outlook.office365.com/.default";
        let mail = check([OFFICE, ENTRA, "id", "s3cret", scope, ""]).unwrap();
        let oauth = mail.oauth.unwrap();
        assert_eq!(oauth.token_url.as_str(), ENTRA);
        assert_eq!(oauth.scope.as_deref(), Some(scope));
        assert!(oauth.client_secret.is_some() && oauth.refresh_token.is_none());
        assert!(!format!("{oauth:?}").contains("s3cret"));
        assert_eq!(mail.smtp.user(), Some("sender@example.com"));
        assert!(mail.smtp.password().is_none());

        let google = "https://oauth2.googleapis.com/token";
        let gmail = "smtps://sender%40example.com@smtp.gmail.com";
        let mail = check([gmail, google, "id", "s3cret", "", "1//s3cret"]).unwrap();
        assert_eq!(mail.smtp.port(), 465);
        assert!(mail.oauth.unwrap().scope.is_none());
        // A public client, and a server of this machine.
        let here = "smtp://u@127.0.0.1:1025";
        let mail = check([here, "http://[::1]:1/t", "id", "", "", "s3cret"]).unwrap();
        assert!(mail.oauth.unwrap().client_secret.is_none());
        // Nothing of it: as ever.
        let mail = check(["smtp://u:s3cret@h.example", "", "", "", "", ""]).unwrap();
        assert!(mail.oauth.is_none() && mail.smtp.password().is_some());
    }

    #[test]
    fn what_is_wrong_is_named_and_no_secret_is_shown() {
        for (values, variable, part) in [
            ([OFFICE, "", "id", "s3cret", "x", ""], TOKEN_URL, "not set"),
            ([OFFICE, ENTRA, "", "s3cret", "x", ""], CLIENT_ID, "not set"),
            ([OFFICE, ENTRA, "id", "", "x", ""], CLIENT_SECRET, "without"),
            ([OFFICE, ENTRA, "id", "s3cret", "", ""], SCOPE, "without"),
            ([OFFICE, "", "", "", "x", ""], TOKEN_URL, "not set"),
            (
                [OFFICE, "http://login.example/t", "id", "s3cret", "x", ""],
                TOKEN_URL,
                "https://",
            ),
            (
                [
                    OFFICE,
                    "https://u:s3cret@h.example/",
                    "id",
                    "s3cret",
                    "x",
                    "",
                ],
                TOKEN_URL,
                "credentials",
            ),
            (
                [OFFICE, "https://h.example/#a", "id", "s3cret", "x", ""],
                TOKEN_URL,
                "fragment",
            ),
            (
                [OFFICE, "login.example", "id", "s3cret", "x", ""],
                TOKEN_URL,
                "not a URL",
            ),
            (
                [
                    OFFICE,
                    "https://login.example/<tenant>/token",
                    "id",
                    "s3cret",
                    "x",
                    "",
                ],
                TOKEN_URL,
                "tenant",
            ),
            (
                [OFFICE, ENTRA, "id", "s3cret\n", "x", ""],
                CLIENT_SECRET,
                "line end",
            ),
            ([OFFICE, ENTRA, "ïd", "s3cret", "x", ""], CLIENT_ID, "ASCII"),
            (
                [OFFICE, ENTRA, "id", "s3cret", "x\"y", ""],
                SCOPE,
                "no scope",
            ),
            (
                [OFFICE, ENTRA, "id", "", "", "s3cret é"],
                REFRESH_TOKEN,
                "ASCII",
            ),
            (
                [
                    "smtp://u:s3cret@h.example?tls=required",
                    ENTRA,
                    "id",
                    "s3cret",
                    "x",
                    "",
                ],
                "ENLIST_SMTP_URL",
                "no password",
            ),
            (
                [
                    "smtp://h.example?tls=required",
                    ENTRA,
                    "id",
                    "s3cret",
                    "x",
                    "",
                ],
                "ENLIST_SMTP_URL",
                "the mailbox that sends",
            ),
            (
                ["smtp://u@h.example", ENTRA, "id", "s3cret", "x", ""],
                "ENLIST_SMTP_URL",
                "tls=required",
            ),
            (
                [
                    "smtp://u@h.example?tls=none",
                    ENTRA,
                    "id",
                    "s3cret",
                    "x",
                    "",
                ],
                "ENLIST_SMTP_URL",
                "tls=required",
            ),
            (
                ["smtp://u@h.example", "", "", "", "", ""],
                "ENLIST_SMTP_URL",
                TOKEN_URL,
            ),
        ] {
            let told = check(values).err().unwrap();
            let line = told
                .lines()
                .find(|line| line.starts_with(&format!("{variable} ")));
            assert!(
                line.is_some_and(|line| line.contains(part)),
                "{values:?}:\n{told}"
            );
        }
    }
}
