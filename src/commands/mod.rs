//! The command line: which commands there are, and what several of them share. Each has a file, with its arguments and
//! what it does.

mod audit;
mod bounce;
mod dev;
mod keys;
mod migrate;
mod openapi;
mod operators;
mod run;
mod serve;
mod users;

use std::{io, process::ExitCode};

use anyhow::bail;
use clap::{
    Args, Parser, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use diesel::PgConnection;
use enlist::{
    clock::Clock,
    config::{
        ConfigErrors, DATABASE_URL, DatabaseArgs, DevArgs, LOG, LogArgs, SECRET_KEYS, ServeArgs,
    },
    db,
    embedded::{
        self,
        postgres::{self, Options, Postgres},
    },
    model::caller::Role,
    secrets::keys::KeyRing,
    telemetry,
};
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    runtime::Runtime,
    signal::unix::{Signal, SignalKind, signal},
};

/// Invites people to enroll their devices in MDM.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Every command.
#[derive(Subcommand)]
pub enum Command {
    /// Try it on this machine: database, sample users and a mailbox page, all arranged
    Dev(DevArgs),
    /// Run the service: API and delivery workers
    Serve(Box<ServeArgs>),
    /// Apply pending migrations to the database
    Migrate(DatabaseArgs),
    /// Print the OpenAPI document
    Openapi,
    /// Manage users
    Users {
        #[command(subcommand)]
        command: users::Users,
    },
    /// Manage API keys
    ApiKeys {
        #[command(subcommand)]
        command: keys::ApiKeys,
    },
    /// Take a mail that came back, from standard input, as POST /mail/bounces does: for a mail server's pipe
    Bounce(KeyedArgs),
    /// Look after the audit log
    Audit {
        #[command(subcommand)]
        command: audit::Audit,
    },
    /// Manage operators, who sign in at the frontend
    Operators {
        #[command(subcommand)]
        command: operators::Operators,
    },
}

impl Command {
    /// Does what the command is for.
    ///
    /// # Errors
    /// Whatever stops it, in words for the person at the shell.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Dev(args) => dev::run(args),
            Self::Serve(args) => serve::run(*args),
            Self::Migrate(database) => migrate::run(&database),
            Self::Openapi => openapi::run(),
            Self::Users { command } => command.run(),
            Self::ApiKeys { command } => command.run(),
            Self::Bounce(args) => bounce::run(&args),
            Self::Audit { command } => command.run(),
            Self::Operators { command } => command.run(),
        }
    }

    /// What the process exits with when the command fails.
    pub fn code_of_failure(&self) -> ExitCode {
        match self {
            Self::Bounce(_) => ExitCode::from(bounce::TRY_AGAIN),
            _ => ExitCode::FAILURE,
        }
    }
}

/// A database, and the keys that belong to it.
#[derive(Debug, Clone, Args)]
pub struct KeyedArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// The service's keys, also those of before
    #[arg(long, env = SECRET_KEYS, hide_env_values = true)]
    secret_keys: Option<SecretString>,
}

impl KeyedArgs {
    fn keys(&self) -> anyhow::Result<KeyRing> {
        keys_of(
            &self.database,
            self.secret_keys.as_ref(),
            "give the service's own",
        )
    }
}

/// The keys that are configured, else those of the embedded database. A database elsewhere has none: `hint` says what
/// to do then.
fn keys_of(
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
fn with_database<T>(
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
fn with_connection<T>(
    database: &DatabaseArgs,
    work: impl FnOnce(&mut PgConnection, Clock) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    with_database(database, |url| {
        let mut connection =
            db::connect(url).map_err(|error| anyhow::anyhow!("{DATABASE_URL}: {error}"))?;
        work(&mut connection, Clock::system())
    })
}

fn start_embedded(database: &DatabaseArgs) -> anyhow::Result<Postgres> {
    let options = Options {
        bin_dir: database.postgres_bin.clone(),
        ..Options::default()
    };
    Ok(Postgres::start(&database.data_dir, options)?)
}

fn start_logging(logging: &LogArgs) -> Result<(), ConfigErrors> {
    telemetry::init(&logging.log, logging.log_format)
        .map_err(|problem| ConfigErrors::one(LOG, problem))
}

fn runtime() -> io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

/// SIGTERM and SIGINT, which ask a process to end.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// From now on the process decides itself what they do.
    fn listen() -> io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for one of them.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// Takes the name of a role.
fn role() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::NAMES)
        .try_map(|name| Role::from_name(&name).ok_or("unknown role"))
}
