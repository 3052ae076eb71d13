//! The database that a command works on, and the keys that belong to it.

use std::sync::Arc;

use anyhow::bail;
use clap::Args;
use diesel::PgConnection;
use enlist::{
    audit::Trail,
    clock::Clock,
    config::{ConfigErrors, DATABASE_URL, DatabaseArgs, SECRET_KEYS},
    db,
    embedded::{
        self,
        postgres::{self, Options, Postgres},
    },
    secrets::keys::KeyRing,
    server::keys::for_the_shell,
};
use secrecy::{ExposeSecret, SecretString};

use super::out::hint;

/// A database, and the keys that belong to it.
#[derive(Debug, Clone, Args)]
pub struct KeyedArgs {
    /// Where the database is.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// The service's keys, also those of before
    #[arg(long, env = SECRET_KEYS, hide_env_values = true)]
    secret_keys: Option<SecretString>,
}

impl KeyedArgs {
    /// The keys.
    ///
    /// # Errors
    /// When there are none, or they are not as they should be.
    pub fn keys(&self) -> anyhow::Result<KeyRing> {
        keys_of(
            &self.database,
            self.secret_keys.as_ref(),
            "give the service's own",
        )
    }

    /// The keys, if there are any.
    ///
    /// # Errors
    /// When they are not as they should be.
    pub fn keys_if_any(&self) -> anyhow::Result<Option<KeyRing>> {
        let is_there = self.secret_keys.is_some() || self.database.is_embedded();
        is_there.then(|| self.keys()).transpose()
    }
}

/// Who is at the shell. The audit log takes what they do with their signature; without keys it has none, and says so.
///
/// # Errors
/// When the keys are not those of the service.
pub fn trail(
    connection: &mut PgConnection,
    clock: Clock,
    keys: Option<KeyRing>,
) -> anyhow::Result<Trail> {
    if keys.is_none() {
        hint(UNSIGNED);
    }
    let keys = keys
        .map(|keys| for_the_shell(connection, keys))
        .transpose()?;
    Ok(Trail::shell(clock, keys.map(Arc::new)))
}

/// What is said where there are no keys.
pub const UNSIGNED: &str = "ENLIST_SECRET_KEYS is not set: the audit log takes this without a signature, and \
                            `enlist audit verify` lists it.";

/// The keys that are configured, else those of the embedded database. A database elsewhere has none: `hint` says what
/// to do then.
pub fn keys_of(
    database: &DatabaseArgs,
    configured: Option<&SecretString>,
    hint: &str,
) -> anyhow::Result<KeyRing> {
    let keys = match configured {
        Some(keys) => keys.clone(),
        None if database.is_embedded() => embedded::dev::secret_keys(&database.data_dir)?,
        None => bail!("{SECRET_KEYS} is not set; {hint}"),
    };
    Ok(KeyRing::parse(keys.expose_secret())
        .map_err(|error| ConfigErrors::one(SECRET_KEYS, error))?)
}

/// Runs `work` on the database that is configured: without one on the embedded database, the running
/// one if there is one, else one that is started for this.
pub fn with_database<T>(
    database: &DatabaseArgs,
    work: impl FnOnce(&str) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    if !database.is_embedded() {
        return work(database.url()?);
    }
    match postgres::url_of_running(&database.data_dir) {
        Some(url) => work(&url),
        None => work(start_embedded(database)?.url()),
    }
}

/// As [`with_database`], with a connection to it and the time of this machine.
pub fn with_connection<T>(
    database: &DatabaseArgs,
    work: impl FnOnce(&mut PgConnection, Clock) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    with_database(database, |url| work(&mut connected(url)?, Clock::system()))
}

/// A connection to the database at this URL.
///
/// # Errors
/// When it cannot be reached.
pub fn connected(url: &str) -> anyhow::Result<PgConnection> {
    db::connect(url).map_err(|error| anyhow::anyhow!("{DATABASE_URL}: {error}"))
}

/// Starts the embedded database.
pub fn start_embedded(database: &DatabaseArgs) -> anyhow::Result<Postgres> {
    let options = Options {
        bin_dir: database.postgres_bin.clone(),
        ..Options::default()
    };
    Ok(Postgres::start(&database.data_dir, options)?)
}
