//! Users' own passwords: Argon2id, off the async threads, never more than two at a time.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use crate::clock;

/// OWASP's parameters (Password Storage Cheat Sheet): 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How long a request waits for its turn.
const WAIT_FOR_PLACE: Duration = Duration::from_secs(10);

/// Why a password was not looked at.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Others were, and none was done in time.
    #[error("all places for hashing are taken")]
    Busy,
    /// There was no randomness, say, or what is stored is no PHC string.
    #[error("{0}")]
    Failed(String),
}

impl HashError {
    fn failed(error: impl ToString) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Hashes passwords, a bounded number at once: each takes 20 ms of a core and 19 MiB.
#[derive(Clone)]
pub struct Hasher {
    places: Arc<Semaphore>,
}

impl Default for Hasher {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(2)),
        }
    }
}

impl Hasher {
    /// The PHC string of a password.
    ///
    /// # Errors
    /// When there is no place in time, or the operating system has no randomness for the salt.
    pub async fn hash(&self, password: SecretString) -> Result<SecretString, HashError> {
        self.at_a_place(move || hash(&password)).await
    }

    /// Whether a password is the one behind a PHC string. Where there is none it is not, after as much work.
    ///
    /// # Errors
    /// When there is no place in time, or what is stored is no PHC string.
    pub async fn verify(
        &self,
        given: SecretString,
        stored: Option<SecretString>,
    ) -> Result<bool, HashError> {
        self.at_a_place(move || {
            let Some(stored) = stored else {
                hashed(&given, &[0; 16])?;
                return Ok(false);
            };
            let stored =
                PasswordHash::new(stored.expose_secret()).map_err(|error| error.to_string())?;
            let given = given.expose_secret().as_bytes();
            Ok(Argon2::default().verify_password(given, &stored).is_ok())
        })
        .await
    }

    /// Whether a hash was made with other parameters than are used today: whoever knows the password can make a
    /// better one.
    pub fn is_outdated(stored: &SecretString) -> bool {
        let parameters = format!("$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$");
        !stored.expose_secret().starts_with(&parameters)
    }

    async fn at_a_place<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, HashError> {
        let _place = tokio::time::timeout(WAIT_FOR_PLACE, self.places.acquire())
            .await
            .map_err(|_| HashError::Busy)?
            .map_err(HashError::failed)?;
        tokio::task::spawn_blocking(work)
            .await
            .map_err(HashError::failed)?
            .map_err(HashError::Failed)
    }
}

/// The PHC string of a password, on the thread that asks.
///
/// # Errors
/// When the operating system has no randomness for the salt.
pub fn hash(password: &SecretString) -> Result<SecretString, String> {
    let salt = clock::random_bytes::<16>().map_err(|error| error.to_string())?;
    Ok(hashed(password, &salt)?.into())
}

fn hashed(password: &SecretString, salt: &[u8]) -> Result<String, String> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(|error| error.to_string())?;
    let hash = Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_with_salt(password.expose_secret().as_bytes(), salt)
        .map_err(|error| error.to_string())?;
    Ok(hash.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn hashes_say_their_parameters_and_verify() {
        let password = SecretString::from("correct horse");
        let hasher = Hasher::default();
        let hash = hasher.hash(password).await.unwrap();
        let text = hash.expose_secret();
        assert!(
            text.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{text}"
        );
        for (given, stored, right) in [
            ("correct horse", Some(hash.clone()), true),
            ("wrong horse", Some(hash.clone()), false),
            ("correct horse", None, false),
        ] {
            assert_eq!(hasher.verify(given.into(), stored).await.unwrap(), right);
        }
        assert!(!Hasher::is_outdated(&hash));
        assert!(Hasher::is_outdated(&text.replace("t=2", "t=1").into()));
        let broken = hasher.verify("x".into(), Some("no hash".into())).await;
        assert!(matches!(broken.unwrap_err(), HashError::Failed(_)));
    }
}
