//! Access tokens instead of a password (XOAUTH2), as Microsoft 365 and Gmail want them.
//!
//! A [`TokenSource`] asks the token server (RFC 6749) and keeps what it gets in memory: the access token, and a refresh
//! token that comes in place of the one that it was given. Nothing is stored, so a restart begins with what is configured.
//! No token and no secret is in a `Debug`, in words or in a log.

mod answer;
mod endpoint;
mod error;
mod remedy;
mod sasl;
mod settings;
mod source;

pub use error::{OauthError, OauthFault, OauthSetupError, Refusal};
pub use sasl::{challenge_words, xoauth2};
pub use settings::OauthSettings;
pub use source::{OauthLimits, Token, TokenSource};
