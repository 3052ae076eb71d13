//! Where to: the URL of the relay. Pure.

use std::str::FromStr;

use percent_encoding::percent_decode_str;
use secrecy::SecretString;
use url::{Host, Url};

/// When a connection is encrypted, and so whose certificate is checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsMode {
    /// `smtp://…?tls=none`: never.
    None,
    /// `smtp://…`: by STARTTLS where the server offers it (RFC 3207).
    ///
    /// Without credentials, or to this machine, any certificate is accepted, as mail servers do
    /// among themselves (RFC 7435): who can forge a certificate here can as well take STARTTLS
    /// out of the offer, so a check would keep nobody out and would turn encryption that works
    /// into mail that does not. With credentials for another host the certificate is checked.
    Opportunistic,
    /// `smtp://…?tls=required`: by STARTTLS or not at all; the certificate is checked.
    Required,
    /// `smtps://…`: from the first byte (RFC 8314, section 3.3); the certificate is checked.
    Implicit,
}

/// The relay to send through, as `ENLIST_SMTP_URL` gives it.
///
/// `Debug` shows no password.
#[derive(Clone, Debug)]
pub struct SmtpUrl {
    pub(super) host: Host,
    pub(super) port: u16,
    pub(super) tls: TlsMode,
    pub(super) login: Option<Login>,
    /// Who signs in with an access token.
    pub(super) token_user: Option<String>,
}

#[derive(Clone, Debug)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: SecretString,
}

/// Why an SMTP URL is refused. No variant holds any part of the credentials.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SmtpUrlError {
    /// Not a URL.
    #[error(
        "not a valid URL ({0}); write smtp://user:password@host:587?tls=required, with special \
         characters of user and password percent-encoded"
    )]
    Syntax(url::ParseError),
    /// Neither `smtp` nor `smtps`.
    #[error("the scheme must be smtp or smtps")]
    Scheme,
    /// No host, or none that can be one.
    #[error("the host is missing or not a host name or address")]
    Host,
    /// Port 0.
    #[error("the port must be between 1 and 65535")]
    Port,
    /// Something behind the host that is not a query.
    #[error("nothing but ?tls=… may follow the host and port")]
    Path,
    /// A user without a password, or the other way round.
    #[error(
        "give a user and a password, or neither; a user alone signs in with a token, for which \
         ENLIST_SMTP_OAUTH_TOKEN_URL and its companions are needed"
    )]
    HalfLogin,
    /// Credentials that are not UTF-8 or hold control characters (RFC 4616, section 2).
    #[error("user and password must be percent-encoded UTF-8 without control characters")]
    LoginCharacters,
    /// A query parameter other than `tls`, or `tls` twice.
    #[error("the only query parameter is tls, once")]
    Parameter,
    /// `tls=` with another value, or one that contradicts `smtps`.
    #[error("tls must be required or none, and smtps:// is always encrypted")]
    Tls,
    /// Credentials that could only travel readable by everyone on the way.
    #[error("user and password are not sent to another host without encryption: drop tls=none")]
    LoginInClear,
    /// A token, and nobody whose it is, or a password beside it.
    #[error(
        "give the mailbox that sends as the user, and no password, since ENLIST_SMTP_OAUTH_… is set: \
         smtp://sender%40example.com@host:587?tls=required"
    )]
    TokenUser,
    /// A token that could travel readable by everyone on the way.
    #[error("access tokens are only sent encrypted: add ?tls=required, or write smtps://")]
    TokenInClear,
}

impl FromStr for SmtpUrl {
    type Err = SmtpUrlError;

    /// Reads `smtp://[user:password@]host[:port][?tls=required|none]` or `smtps://…`.
    ///
    /// Ports by default: 465 for `smtps` (RFC 8314), 587 for `smtp` with credentials (RFC 6409),
    /// else 25.
    fn from_str(text: &str) -> Result<Self, SmtpUrlError> {
        let url = Self::parse(text, false)?;
        if url.login.is_some() && url.tls == TlsMode::None && !url.permits_credentials(false) {
            return Err(SmtpUrlError::LoginInClear);
        }
        Ok(url)
    }
}

impl SmtpUrl {
    /// Reads `smtp://user@host[:port]?tls=required` or `smtps://user@host[:port]`, for a user who signs in with an access token.
    ///
    /// Ports by default: 465 for `smtps`, else 587.
    ///
    /// # Errors
    /// Besides those of other URLs: no user, or a password; no encryption, unless the host is this machine.
    pub fn with_token(text: &str) -> Result<Self, SmtpUrlError> {
        let url = Self::parse(text, true)?;
        let is_encrypted = matches!(url.tls, TlsMode::Required | TlsMode::Implicit);
        if !url.permits_credentials(is_encrypted) {
            return Err(SmtpUrlError::TokenInClear);
        }
        Ok(url)
    }

    fn parse(text: &str, by_token: bool) -> Result<Self, SmtpUrlError> {
        let url = Url::parse(text).map_err(|error| match error {
            url::ParseError::EmptyHost => SmtpUrlError::Host,
            other => SmtpUrlError::Syntax(other),
        })?;
        let implicit = match url.scheme() {
            "smtp" => false,
            "smtps" => true,
            _ => return Err(SmtpUrlError::Scheme),
        };
        let host = match url.host() {
            Some(Host::Ipv6(address)) => Host::Ipv6(address),
            // The URL standard leaves hosts of such schemes unread: 127.0.0.1 comes as a domain.
            Some(Host::Domain(name)) => Host::parse(name).map_err(|_| SmtpUrlError::Host)?,
            Some(Host::Ipv4(address)) => Host::Ipv4(address),
            None => return Err(SmtpUrlError::Host),
        };
        if !matches!(url.path(), "" | "/") || url.fragment().is_some() {
            return Err(SmtpUrlError::Path);
        }
        let (login, token_user) = if by_token {
            (None, Some(parse_user(url.username(), url.password())?))
        } else {
            (parse_login(url.username(), url.password())?, None)
        };
        let tls = parse_tls(&url, implicit)?;
        let signs_in = login.is_some() || token_user.is_some();
        let port = match (url.port(), tls, signs_in) {
            (Some(0), _, _) => return Err(SmtpUrlError::Port),
            (Some(port), _, _) => port,
            (None, TlsMode::Implicit, _) => 465,
            (None, _, true) => 587,
            (None, _, false) => 25,
        };
        Ok(Self {
            host,
            port,
            tls,
            login,
            token_user,
        })
    }
}

fn decode(text: &str) -> Result<String, SmtpUrlError> {
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) if !decoded.contains(char::is_control) => Ok(decoded.into_owned()),
        _ => Err(SmtpUrlError::LoginCharacters),
    }
}

fn parse_user(user: &str, password: Option<&str>) -> Result<String, SmtpUrlError> {
    match (user, password.unwrap_or_default()) {
        (user, "") if !user.is_empty() => decode(user),
        _ => Err(SmtpUrlError::TokenUser),
    }
}

fn parse_login(user: &str, password: Option<&str>) -> Result<Option<Login>, SmtpUrlError> {
    match (user, password.unwrap_or_default()) {
        ("", "") => Ok(None),
        ("", _) | (_, "") => Err(SmtpUrlError::HalfLogin),
        (user, password) => Ok(Some(Login {
            user: decode(user)?,
            password: decode(password)?.into(),
        })),
    }
}

fn parse_tls(url: &Url, implicit: bool) -> Result<TlsMode, SmtpUrlError> {
    let mut parameters = url.query_pairs();
    let tls = match parameters.next() {
        None => None,
        Some((name, value)) if name == "tls" => Some(value),
        Some(_) => return Err(SmtpUrlError::Parameter),
    };
    if parameters.next().is_some() {
        return Err(SmtpUrlError::Parameter);
    }
    match (implicit, tls.as_deref()) {
        (true, None | Some("required")) => Ok(TlsMode::Implicit),
        (false, None) => Ok(TlsMode::Opportunistic),
        (false, Some("required")) => Ok(TlsMode::Required),
        (false, Some("none")) => Ok(TlsMode::None),
        _ => Err(SmtpUrlError::Tls),
    }
}

impl SmtpUrl {
    /// The host as it is connected to and looked for in the certificate (IPv6 without brackets).
    pub fn host(&self) -> String {
        match &self.host {
            Host::Domain(name) => name.clone(),
            Host::Ipv4(address) => address.to_string(),
            Host::Ipv6(address) => address.to_string(),
        }
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// When connections are encrypted.
    pub fn tls(&self) -> TlsMode {
        self.tls
    }

    /// The decoded user name, if credentials are given.
    pub fn user(&self) -> Option<&str> {
        let login = self.login.as_ref().map(|login| &login.user);
        login.or(self.token_user.as_ref()).map(String::as_str)
    }

    /// The decoded password, if credentials are given.
    pub fn password(&self) -> Option<&SecretString> {
        self.login.as_ref().map(|login| &login.password)
    }

    /// Whether credentials may be sent over a connection to this host.
    ///
    /// Not without encryption, unless the host is this machine: an attacker on the way can strip
    /// STARTTLS from the server's offer and would be handed the password (RFC 4954, section 9).
    pub fn permits_credentials(&self, encrypted: bool) -> bool {
        encrypted || self.is_loopback()
    }

    /// Whether the server is this machine.
    pub fn is_loopback(&self) -> bool {
        is_this_machine(&self.host)
    }

    /// Whether the server's certificate is checked, where there is one.
    pub fn checks_certificate(&self) -> bool {
        match self.tls {
            TlsMode::Required | TlsMode::Implicit => true,
            TlsMode::Opportunistic => self.user().is_some() && !self.is_loopback(),
            TlsMode::None => false,
        }
    }
}

/// Whether a host is this machine.
pub(super) fn is_this_machine<S: AsRef<str>>(host: &Host<S>) -> bool {
    match host {
        // RFC 6761, section 6.3: the name is the loopback address by definition.
        Host::Domain(name) => name.as_ref() == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.to_canonical().is_loopback(),
    }
}
