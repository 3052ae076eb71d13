//! What `enlist dev` can be told, and the settings that it arranges.

use std::path::PathBuf;

use clap::Args;
use secrecy::SecretString;

use super::{
    audit::AuditArgs,
    callers::{CORS_ORIGINS, CallerArgs},
    database::{DATA_DIR, DEFAULT_DATA_DIR, DatabaseArgs, OwnerArgs, POSTGRES_BIN, PoolArgs},
    delivery::DeliveryArgs,
    errors::ConfigErrors,
    http::{DEFAULT_LISTEN, HttpArgs, LISTEN},
    keys::KeyArgs,
    logging::LogArgs,
    mail::MailArgs,
    organisation::{ORG_NAME, OrganisationArgs},
    retention::RetentionArgs,
    serve::{Config, InstanceRole, ServeArgs},
};

/// What `dev` takes: everything else is arranged.
#[derive(Debug, Clone, Args)]
pub struct DevArgs {
    /// How to log.
    #[command(flatten)]
    pub logging: LogArgs,
    /// Where its files are kept: database, mails, keys
    #[arg(long, env = DATA_DIR, default_value = DEFAULT_DATA_DIR)]
    pub data_dir: PathBuf,
    /// Where the binaries of the embedded Postgres are [default: looked for]
    #[arg(long, env = POSTGRES_BIN)]
    pub postgres_bin: Option<PathBuf>,
    /// Address and port to listen on, of this machine only
    #[arg(long, env = LISTEN, default_value = DEFAULT_LISTEN)]
    pub listen: String,
    /// The organisation's name, in every mail
    #[arg(long, env = ORG_NAME, default_value = "Example Ltd")]
    pub org_name: String,
    /// Origins of a frontend that is tried in a browser, comma-separated
    #[arg(long, env = CORS_ORIGINS, default_value = "")]
    pub cors_origins: String,
    /// Throw away what is there and begin anew
    #[arg(long)]
    pub fresh: bool,
}

impl DevArgs {
    /// The whole configuration, for a mail server and a database of our own.
    ///
    /// # Errors
    /// All settings that are wrong.
    pub fn check(
        &self,
        database_url: &str,
        smtp_url: &str,
        secret_keys: SecretString,
    ) -> Result<Config, ConfigErrors> {
        let config = ServeArgs {
            database: DatabaseArgs {
                database_url: Some(database_url.into()),
                data_dir: self.data_dir.clone(),
                postgres_bin: None,
            },
            owner: OwnerArgs::default(),
            pool: PoolArgs::default(),
            logging: self.logging.clone(),
            role: InstanceRole::All,
            no_migrate: false,
            http: HttpArgs {
                listen: self.listen.clone(),
                public_url: None,
                // Whoever presses Ctrl-C has nobody else who could answer.
                drain: "0".to_owned(),
                ..HttpArgs::default()
            },
            mail: MailArgs {
                smtp_url: Some(smtp_url.into()),
                ..MailArgs::default()
            },
            keys: KeyArgs {
                secret_keys: Some(secret_keys),
            },
            organisation: OrganisationArgs {
                org_name: self.org_name.clone(),
                logo: None,
                support: Some("help@example.com".to_owned()),
            },
            callers: CallerArgs {
                cors_origins: self.cors_origins.clone(),
                ..CallerArgs::default()
            },
            retention: RetentionArgs::default(),
            delivery: DeliveryArgs::default(),
            audit: AuditArgs::default(),
        }
        .check()?;
        if config.http.listen.ip().is_loopback() {
            Ok(config)
        } else {
            Err(ConfigErrors::one(
                LISTEN,
                "must be an address of this machine alone, such as 127.0.0.1:8080: `enlist dev` shows PINs",
            ))
        }
    }
}
