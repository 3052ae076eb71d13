//! Users' own passwords: Argon2id, off the async threads, never more than two at a time, and strangers last.

use std::{sync::Arc, time::Duration};

use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::clock;

/// OWASP's parameters (Password Storage Cheat Sheet): 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Passwords that are hashed at once, where each takes 20 ms of a core and 19 MiB.
const PLACES: usize = 2;
/// Strangers who wait for a place, with those who have one: a second's work. More are sent away at once.
const STRANGERS: usize = 100;
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

/// Hashes passwords, a bounded number at once. However many strangers ask, one of them at most waits in front of somebody
/// who is known.
#[derive(Clone)]
pub struct Hasher {
    places: Arc<Semaphore>,
    /// The stranger who is next, and waits for a place as others do.
    next: Arc<Semaphore>,
    strangers: Arc<Semaphore>,
}

impl Default for Hasher {
    fn default() -> Self {
        let semaphore = |permits| Arc::new(Semaphore::new(permits));
        Self {
            places: semaphore(PLACES),
            next: semaphore(1),
            strangers: semaphore(STRANGERS),
        }
    }
}

/// A turn to have a password looked at: a stranger's is one of a bounded number.
pub struct Turn(Option<OwnedSemaphorePermit>);

impl Hasher {
    /// A turn for somebody who is known, or for a stranger.
    ///
    /// # Errors
    /// When too many strangers wait already.
    pub fn turn(&self, is_known: bool) -> Result<Turn, HashError> {
        if is_known {
            return Ok(Turn(None));
        }
        let waiting = Arc::clone(&self.strangers).try_acquire_owned();
        Ok(Turn(Some(waiting.map_err(|_| HashError::Busy)?)))
    }

    /// The PHC string of a password, which somebody who is known gives.
    ///
    /// # Errors
    /// When there is no place in time, or the operating system has no randomness for the salt.
    pub async fn hash(&self, password: SecretString) -> Result<SecretString, HashError> {
        self.at_a_place(Turn(None), move || hash(&password)).await
    }

    /// Whether a password is the one behind a PHC string. Where there is none it is not, after as much work.
    ///
    /// # Errors
    /// When there is no place in time, or what is stored is no PHC string.
    pub async fn verify(
        &self,
        turn: Turn,
        given: SecretString,
        stored: Option<SecretString>,
    ) -> Result<bool, HashError> {
        self.at_a_place(turn, move || {
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
        turn: Turn,
        work: impl FnOnce() -> Result<T, String> + Send + 'static,
    ) -> Result<T, HashError> {
        let place = async {
            // Those who are known find no queue of strangers in front of the places.
            let _next = match turn.0 {
                Some(_) => Some(self.next.acquire().await?),
                None => None,
            };
            Arc::clone(&self.places).acquire_owned().await
        };
        let place = tokio::time::timeout(WAIT_FOR_PLACE, place)
            .await
            .map_err(|_| HashError::Busy)?
            .map_err(HashError::failed)?;
        // Taken until it is done, also where nobody waits for it any more.
        tokio::task::spawn_blocking(move || {
            let _taken = (place, turn);
            work()
        })
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
    use std::sync::Mutex;

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
            let turn = hasher.turn(true).unwrap();
            let verified = hasher.verify(turn, given.into(), stored).await;
            assert_eq!(verified.unwrap(), right);
        }
        assert!(!Hasher::is_outdated(&hash));
        assert!(Hasher::is_outdated(&text.replace("t=2", "t=1").into()));
        let turn = hasher.turn(true).unwrap();
        let broken = hasher.verify(turn, "x".into(), Some("no hash".into()));
        assert!(matches!(broken.await.unwrap_err(), HashError::Failed(_)));
    }

    #[tokio::test]
    async fn strangers_wait_behind_those_who_are_known() {
        let hasher = Hasher::default();
        let done = Arc::new(Mutex::new(Vec::new()));
        let ask = |is_known: bool| {
            let turn = hasher.turn(is_known).ok()?;
            let (hasher, done) = (hasher.clone(), Arc::clone(&done));
            Some(tokio::spawn(async move {
                let given = SecretString::from("x");
                hasher.verify(turn, given, None).await.unwrap();
                done.lock().unwrap().push(is_known);
            }))
        };
        let mut asked: Vec<_> = (0..STRANGERS).map(|_| ask(false).unwrap()).collect();
        assert!(ask(false).is_none(), "the queue is full");
        // All of them are in line.
        tokio::task::yield_now().await;
        asked.extend((0..3).map(|_| ask(true).unwrap()));
        for one in asked {
            one.await.unwrap();
        }
        // Two had a place, one was next, and each who is known let the next one come to the line.
        let done = done.lock().unwrap();
        let last = done.iter().rposition(|is_known| *is_known).unwrap();
        assert!(last < 20, "{done:?}");
        assert!(ask(false).is_some(), "there is room again");
    }
}
