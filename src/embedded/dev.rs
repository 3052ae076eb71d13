//! The files of `enlist dev` and of the embedded database: keys that are made once, for their owner only.

use std::{
    fs::{self, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use diesel::{Connection, PgConnection};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    access::{domain::KeyName, keys, manage_keys, tokens},
    audit::Trail,
    clock::{self, Clock},
    db::DbError,
    model::caller::Role,
    secrets::keys::KeyRing,
};

/// Why a file of keys cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    #[error("ENLIST_DATA_DIR: {path}: {error}")]
    File { path: String, error: io::Error },
    #[error("no randomness: {0}")]
    Randomness(#[from] getrandom::Error),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// The secret keys of the embedded database, in `<data dir>/secret-keys`: made once, mode 0600.
///
/// # Errors
/// When the file can be neither read nor made.
pub fn secret_keys(data_dir: &Path) -> Result<SecretString, KeyFileError> {
    match known_secret_keys(data_dir)? {
        Some(keys) => Ok(keys),
        None => {
            let key = new_secret_keys()?;
            let path = data_dir.join("secret-keys");
            write_private(&path, &format!("{}\n", key.expose_secret()))
                .map_err(|error| failed(&path, error))?;
            Ok(key)
        }
    }
}

/// The same keys, if they were made already.
///
/// # Errors
/// When the file cannot be read.
pub fn known_secret_keys(data_dir: &Path) -> Result<Option<SecretString>, KeyFileError> {
    let path = data_dir.join("secret-keys");
    match fs::read_to_string(&path) {
        Ok(keys) => Ok(Some(keys.trim().into())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(&path, error)),
    }
}

/// Keys as they are made where there are none, kept nowhere.
///
/// # Errors
/// When the operating system's randomness is away.
pub fn new_secret_keys() -> Result<SecretString, KeyFileError> {
    let bytes = clock::random_bytes::<32>()?;
    Ok(format!("k1:{}", STANDARD.encode(bytes)).into())
}

fn failed(path: &Path, error: io::Error) -> KeyFileError {
    KeyFileError::File {
        path: path.display().to_string(),
        error,
    }
}

/// An admin's key in `<data dir>/auth-header`, for `curl -H @…`: the one that is there if it still
/// works, else a new one.
///
/// # Errors
/// When the file cannot be written or the database is away.
pub fn auth_header(
    connection: &mut PgConnection,
    data_dir: &Path,
    clock: &Clock,
    keys: Arc<KeyRing>,
) -> Result<(), KeyFileError> {
    let path = data_dir.join("auth-header");
    let known = fs::read_to_string(&path).ok();
    let hash = known
        .as_deref()
        .and_then(|header| header.trim().strip_prefix("Authorization: Bearer "))
        .and_then(|token| Some(tokens::read(token)?.1));
    if let Some(hash) = hash
        && keys::find(connection, &hash)?.is_some()
    {
        return Ok(());
    }
    let trail = Trail::shell(clock.clone(), Some(keys));
    let name = KeyName::parse("enlist dev").map_err(|_| DbError::Stored("a key's name".into()))?;
    let made = connection
        .transaction(|connection| manage_keys::make(connection, &trail, name, Role::Admin, None))?;
    let header = format!("Authorization: Bearer {}\n", made.key);
    write_private(&path, &header).map_err(|error| failed(&path, error))
}

/// Writes a file that only its owner can read, whole or not at all.
fn write_private(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension("tmp");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(draft, path)
}
