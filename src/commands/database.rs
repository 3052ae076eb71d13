//! The database that a command works on, and the keys that belong to it.

use anyhow::bail;
use clap::Args;
use diesel::PgConnection;
use enlist::{
    clock::Clock,
    config::{ConfigErrors, DATABASE_URL, DatabaseArgs, SECRET_KEYS},
    db,
    embedded::{
        self,
        postgres::{self, Options, Postgres},
    },
    secrets::keys::KeyRing,
};
use secrecy::{ExposeSecret, SecretString};

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
}

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
    with_database(database, |url| {
        let mut connection =
            db::connect(url).map_err(|error| anyhow::anyhow!("{DATABASE_URL}: {error}"))?;
        work(&mut connection, Clock::system())
    })
}

/// Starts the embedded database.
pub fn start_embedded(database: &DatabaseArgs) -> anyhow::Result<Postgres> {
    let options = Options {
        bin_dir: database.postgres_bin.clone(),
        ..Options::default()
    };
    Ok(Postgres::start(&database.data_dir, options)?)
}
