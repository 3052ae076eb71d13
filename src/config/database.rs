//! Where the database is: a Postgres of the operator's, or the embedded one under the data directory. And who may change
//! its schema, where that is not the service.

use std::path::PathBuf;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};

use super::{errors::ConfigErrors, values::number};
use crate::db::usable;

/// The variable with the database's URL.
pub const DATABASE_URL: &str = "DATABASE_URL";
/// The variable with the URL of the schema's owner.
pub const MIGRATE_URL: &str = "ENLIST_MIGRATE_URL";
const CONNECTIONS: &str = "ENLIST_DATABASE_CONNECTIONS";
/// Connections of one instance, however many are asked for.
const MOST_CONNECTIONS: u32 = 100;
/// The variable with the folder for the service's own files.
pub const DATA_DIR: &str = "ENLIST_DATA_DIR";
/// Where that folder is when nothing is set.
pub const DEFAULT_DATA_DIR: &str = ".enlist";
/// The variable with the folder of the embedded Postgres' binaries.
pub const POSTGRES_BIN: &str = "ENLIST_POSTGRES_BIN";

/// Where the database is.
#[derive(Debug, Clone, Args)]
pub struct DatabaseArgs {
    /// Postgres, as a libpq URL (several hosts work): postgres://user:password@host/database
    /// [default: the embedded one under the data dir]
    #[arg(long, env = DATABASE_URL, hide_env_values = true)]
    pub database_url: Option<SecretString>,
    /// Where files of our own are kept
    #[arg(long, env = DATA_DIR, default_value = DEFAULT_DATA_DIR)]
    pub data_dir: PathBuf,
    /// Where the binaries of the embedded Postgres are [default: looked for]
    #[arg(long, env = POSTGRES_BIN)]
    pub postgres_bin: Option<PathBuf>,
}

/// Who changes the schema, where the service may not.
#[derive(Debug, Clone, Default, Args)]
pub struct OwnerArgs {
    /// The schema's owner, for migrations and grants, where DATABASE_URL is a lesser role (see `enlist database roles`)
    /// or goes through a pooler [default: DATABASE_URL]
    #[arg(long, env = MIGRATE_URL, hide_env_values = true)]
    pub migrate_url: Option<SecretString>,
}

/// How many connections there are to the database.
#[derive(Debug, Clone, Default, Args)]
pub struct PoolArgs {
    /// Database connections that this instance uses at once; it may hold three times as many open, and two more
    /// [default: two a core]
    #[arg(long, env = CONNECTIONS)]
    pub database_connections: Option<String>,
}

impl PoolArgs {
    pub(super) fn check(&self, wrong: &mut ConfigErrors) -> Option<u32> {
        let given = self.database_connections.as_deref();
        let connections = wrong.take(CONNECTIONS, given.map(number).transpose())?;
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        // Measured to serve most requests with the shortest tail.
        let usual = u32::try_from(2 * cores).unwrap_or(8);
        Some(connections.map_or(usual, |connections| connections.get().min(MOST_CONNECTIONS)))
    }
}

/// How many connections an instance may have open that uses so many at once: half as many are beside them while a lock
/// holds requests up, searches have others, one asks whether the database is there, and one listens.
pub fn most_open(used: u32) -> u32 {
    2 * (used + (used / 2).max(1)) + 2
}

/// The database's URLs, checked.
#[derive(Debug, Clone)]
pub struct DatabaseUrls {
    /// As the service uses it.
    pub service: SecretString,
    /// As the owner of the schema uses it, where that is another.
    pub owner: Option<SecretString>,
}

impl OwnerArgs {
    /// The URLs for a service that is at this one.
    ///
    /// # Errors
    /// When the owner's is none.
    pub fn beside(&self, service: &str) -> Result<DatabaseUrls, ConfigErrors> {
        let owner = self
            .usable_url()
            .map_err(|problem| ConfigErrors::one(MIGRATE_URL, problem))?;
        Ok(DatabaseUrls {
            service: service.into(),
            owner: owner.map(SecretString::from),
        })
    }

    pub(super) fn check(
        &self,
        database: &DatabaseArgs,
        wrong: &mut ConfigErrors,
    ) -> Option<DatabaseUrls> {
        let service = database.check(wrong);
        let owner = wrong.take(MIGRATE_URL, self.usable_url());
        Some(DatabaseUrls {
            service: service?,
            owner: owner?.map(SecretString::from),
        })
    }

    fn usable_url(&self) -> Result<Option<&str>, &'static str> {
        let url = self.migrate_url.as_ref().map(ExposeSecret::expose_secret);
        url.filter(|url| !url.is_empty()).map(usable).transpose()
    }
}

impl DatabaseArgs {
    /// Whether the embedded database is to be used.
    pub fn is_embedded(&self) -> bool {
        self.database_url
            .as_ref()
            .is_none_or(|url| url.expose_secret().is_empty())
    }

    /// What to know where the embedded database is used: somebody may have meant another one.
    pub fn told_of_embedded(&self) -> Option<String> {
        let folder = std::path::absolute(&self.data_dir).unwrap_or_else(|_| self.data_dir.clone());
        self.is_embedded().then(|| {
            format!(
                "{DATABASE_URL} is not set: the embedded database in {} is used, which is for trying Enlist and for one \
                 small instance; all data and the secret keys are in that folder. For a Postgres of yours, set \
                 {DATABASE_URL}=postgres://user:password@host/database",
                folder.display()
            )
        })
    }

    /// The URL, checked.
    ///
    /// # Errors
    /// When it is missing or is none.
    pub fn url(&self) -> Result<&str, ConfigErrors> {
        self.usable_url()
            .map_err(|problem| ConfigErrors::one(DATABASE_URL, problem))
    }

    fn check(&self, wrong: &mut ConfigErrors) -> Option<SecretString> {
        wrong
            .take(DATABASE_URL, self.usable_url())
            .map(SecretString::from)
    }

    fn usable_url(&self) -> Result<&str, &'static str> {
        let url = self
            .database_url
            .as_ref()
            .map(ExposeSecret::expose_secret)
            .filter(|url| !url.is_empty())
            .ok_or(
                "is not set; give the Postgres to use, as postgres://user:password@host/database",
            )?;
        usable(url)
    }
}
