//! The keys that PINs and QR tokens derive from, and that settings are sealed under.

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use super::errors::ConfigErrors;
use crate::secrets::keys::KeyRing;

/// The variable with the service's keys.
pub const SECRET_KEYS: &str = "ENLIST_SECRET_KEYS";

/// The service's keys.
#[derive(Debug, Clone, Args)]
pub struct KeyArgs {
    /// Keys that PINs and QR tokens derive from and settings are sealed under: id:base64 of 32 bytes or more, comma-separated, the first one signs
    #[arg(long, env = SECRET_KEYS, hide_env_values = true)]
    pub secret_keys: Option<SecretString>,
}

impl KeyArgs {
    pub(super) fn check(&self, wrong: &mut ConfigErrors) -> Option<KeyRing> {
        let keys = match &self.secret_keys {
            Some(keys) => KeyRing::parse(keys.expose_secret()).map_err(|error| error.to_string()),
            None => Err("is not set; make a key with: echo k1:$(openssl rand -base64 32)".into()),
        };
        wrong.take(SECRET_KEYS, keys)
    }
}
