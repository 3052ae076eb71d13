//! Why there is no token. Pure.

use std::fmt;
use std::time::Duration;

/// The client for the token server cannot be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the client for the token server cannot be made: {0}")]
pub struct OauthSetupError(pub(super) String);

/// Why there is no token, and of which server. `Display` is the whole story in one line, with what to do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no access token from {host}: {fault}")]
pub struct OauthError {
    /// The host in the token URL.
    pub host: String,
    /// What went wrong there.
    pub fault: OauthFault,
}

impl OauthError {
    /// Whether it stays like this until somebody changes a setting, here or at the token server. It is asked again all the same,
    /// since a change over there tells nobody.
    pub fn needs_hand(&self) -> bool {
        matches!(self.fault, OauthFault::Strange(_) | OauthFault::Refused(_))
    }
}

/// What went wrong. Words of others are masked and short.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OauthFault {
    /// The network, the name service or TLS.
    #[error("it cannot be reached ({0})")]
    Away(String),
    /// Nothing, or not all of it, came in time.
    #[error("it did not answer within {0:?}")]
    Timeout(Duration),
    /// It asks for patience: 429, 408, or a fault of its own (5xx).
    #[error("it answers {status} and is asked again later")]
    Busy {
        /// The HTTP status.
        status: u16,
        /// How long it wants to be left alone (RFC 9110, section 10.2.3).
        retry_after: Option<Duration>,
    },
    /// An answer that is none of OAuth's.
    #[error("{0}; check ENLIST_SMTP_OAUTH_TOKEN_URL")]
    Strange(String),
    /// It says no (RFC 6749, section 5.2).
    #[error(transparent)]
    Refused(#[from] Box<Refusal>),
    /// The request was ended with the thread that made it.
    #[error("the request was cut short and is made again")]
    Interrupted,
}

/// A token server's no.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    /// The error code, such as `invalid_client`.
    pub code: String,
    /// Microsoft's own code, such as `AADSTS7000222`.
    pub vendor_code: Option<String>,
    /// What to do.
    pub remedy: &'static str,
    /// What the server says.
    pub words: Option<String>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "it refuses ({}", self.code)?;
        if let Some(code) = &self.vendor_code {
            write!(f, ", {code}")?;
        }
        write!(f, "): {}", self.remedy)?;
        match &self.words {
            Some(words) => write!(f, "; its words: {words}"),
            None => Ok(()),
        }
    }
}
