//! Users' own passwords: Argon2id, off the async threads, never more than two at a time, and strangers last.

use std::sync::{Arc, Mutex, PoisonError};

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

use super::line::{Crowded, Line, Turn, WAIT};
use crate::clock;

/// OWASP's parameters (Password Storage Cheat Sheet): 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// Passwords that are hashed at once, where each takes 20 ms of a core and 19 MiB.
const PLACES: usize = 2;

/// Why a password was not looked at.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Others were, and none was done in time.
    #[error("all places for hashing are taken")]
    Busy,
    /// Too many strangers wait.
    #[error(transparent)]
    Crowded(#[from] Crowded),
    /// There was no randomness, say, or what is stored is no PHC string.
    #[error("{0}")]
    Failed(String),
}

impl HashError {
    fn failed(error: impl ToString) -> Self {
        Self::Failed(error.to_string())
    }
}

/// Hashes passwords, a bounded number at once; strangers stand in line.
#[derive(Clone)]
pub struct Hasher {
    places: Arc<Semaphore>,
    line: Line,
    /// What is hashed in: as many as were at a place at once. Memory that each hash allocates is kept by the allocator for
    /// the thread that it was on, and there are hundreds of them.
    memories: Arc<Mutex<Vec<Memory>>>,
}

/// What a password is hashed in.
type Memory = Vec<Block>;

impl Default for Hasher {
    fn default() -> Self {
        Self {
            places: Arc::new(Semaphore::new(PLACES)),
            line: Line::default(),
            memories: Arc::default(),
        }
    }
}

impl Hasher {
    /// A turn, as [`Line::turn`] gives it.
    ///
    /// # Errors
    /// [`HashError::Crowded`].
    pub async fn turn(&self, is_known: bool) -> Result<Turn, HashError> {
        Ok(self.line.turn(is_known).await?)
    }

    /// The PHC string of a password, which somebody who is known gives.
    ///
    /// # Errors
    /// When there is no place in time, or the operating system has no randomness for the salt.
    pub async fn hash(&self, password: SecretString) -> Result<SecretString, HashError> {
        self.at_a_place(Turn::KNOWN, move |memory| new_hash(&password, memory))
            .await
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
        self.at_a_place(turn, move |memory| {
            let Some(stored) = stored else {
                hashed(&given, &[0; 16], &ours()?, memory)?;
                return Ok(false);
            };
            let stored = PasswordHash::new(stored.expose_secret()).map_err(told)?;
            let salt = stored.salt.as_ref().map_or([].as_slice(), AsRef::as_ref);
            let made = hashed(&given, salt, &how(&stored)?, memory)?;
            // Outputs are compared in constant time.
            Ok(made.hash.is_some() && made.hash == stored.hash)
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
        work: impl FnOnce(&mut Memory) -> Result<T, String> + Send + 'static,
    ) -> Result<T, HashError> {
        let place = Arc::clone(&self.places).acquire_owned();
        let place = tokio::time::timeout(WAIT, place)
            .await
            .map_err(|_| HashError::Busy)?
            .map_err(HashError::failed)?;
        let stranger = turn.pass_on();
        let memories = Arc::clone(&self.memories);
        // Taken until it is done, also where nobody waits for it any more.
        tokio::task::spawn_blocking(move || {
            let _taken = (place, stranger);
            let kept = || memories.lock().unwrap_or_else(PoisonError::into_inner);
            let mut memory = kept().pop().unwrap_or_default();
            let done = work(&mut memory);
            kept().push(memory);
            done
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
    new_hash(password, &mut Memory::new())
}

fn new_hash(password: &SecretString, memory: &mut Memory) -> Result<SecretString, String> {
    let salt = clock::random_bytes::<16>().map_err(told)?;
    let hash = hashed(password, &salt, &ours()?, memory)?;
    Ok(hash.to_string().into())
}

fn told(error: impl ToString) -> String {
    error.to_string()
}

/// How a password is hashed.
type How = (Algorithm, Version, Params);

/// As passwords are hashed today,
fn ours() -> Result<How, String> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None).map_err(told)?;
    Ok((Algorithm::Argon2id, Version::V0x13, params))
}

/// and as this one was.
fn how(stored: &PasswordHash) -> Result<How, String> {
    let algorithm = Algorithm::try_from(stored.algorithm.as_str()).map_err(told)?;
    let version = stored.version.map(Version::try_from).transpose();
    let params = Params::try_from(stored).map_err(told)?;
    Ok((
        algorithm,
        version.map_err(told)?.unwrap_or_default(),
        params,
    ))
}

/// What the library's own way to hash does, but in memory that is given.
fn hashed(
    password: &SecretString,
    salt: &[u8],
    how: &How,
    memory: &mut Memory,
) -> Result<PasswordHash, String> {
    let (algorithm, version, params) = how;
    memory.resize(memory.len().max(params.block_count()), Block::default());
    let mut output = vec![0; params.output_len().unwrap_or(Params::DEFAULT_OUTPUT_LEN)];
    Argon2::new(*algorithm, *version, params.clone())
        .hash_password_into_with_memory(
            password.expose_secret().as_bytes(),
            salt,
            &mut output,
            memory.as_mut_slice(),
        )
        .map_err(told)?;
    Ok(PasswordHash {
        algorithm: algorithm.ident(),
        version: Some((*version).into()),
        params: ParamsString::try_from(params).map_err(told)?,
        salt: Some(Salt::new(salt).map_err(told)?),
        hash: Some(Output::new(&output).map_err(told)?),
    })
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
            let turn = hasher.turn(true).await.unwrap();
            let verified = hasher.verify(turn, given.into(), stored).await;
            assert_eq!(verified.unwrap(), right);
        }
        assert!(!Hasher::is_outdated(&hash));
        assert!(Hasher::is_outdated(&text.replace("t=2", "t=1").into()));
        let memories = hasher.memories.lock().unwrap().len();
        assert_eq!(memories, 1, "one after the other, in one memory");
        let turn = hasher.turn(true).await.unwrap();
        let broken = hasher.verify(turn, "x".into(), Some("no hash".into()));
        assert!(matches!(broken.await.unwrap_err(), HashError::Failed(_)));
    }

    #[tokio::test]
    async fn strangers_wait_behind_those_who_are_known() {
        let hasher = Hasher::default();
        let done = Arc::new(Mutex::new(Vec::new()));
        let ask = |is_known: bool| {
            let (hasher, done) = (hasher.clone(), Arc::clone(&done));
            tokio::spawn(async move {
                let turn = hasher.turn(is_known).await?;
                let given = SecretString::from("x");
                hasher.verify(turn, given, None).await?;
                done.lock().unwrap().push(is_known);
                Ok::<_, HashError>(())
            })
        };
        let asked: Vec<_> = (0..50).map(|_| ask(false)).collect();
        for one in (0..3).map(|_| ask(true)).collect::<Vec<_>>() {
            one.await.unwrap().unwrap();
        }
        // Two had a place and one was first in line; while three who are known were served, a few more came so far.
        let before = done.lock().unwrap().len();
        assert!(before < 20, "{before}");
        for one in asked {
            one.await.unwrap().unwrap();
        }
        let memories = hasher.memories.lock().unwrap().len();
        assert!((1..=PLACES).contains(&memories), "{memories}");
    }

    #[tokio::test]
    async fn the_line_of_strangers_has_an_end() {
        let hasher = Hasher::default();
        let line = hasher.line.strangers.try_acquire_many(100).unwrap();
        let refused = hasher.turn(false).await.err();
        assert!(matches!(refused, Some(HashError::Crowded(_))));
        hasher.turn(true).await.unwrap();
        drop(line);
        hasher.turn(false).await.unwrap();
    }
}
