//! The command line.

use std::{io::Write, process::ExitCode};

use anyhow::Context;
use clap::{Parser, Subcommand};
use diesel::{Connection, PgConnection};
use enlist::{
    access::{Role, keys},
    clock::Clock,
    config::{DatabaseArgs, ServeArgs},
    db, http,
    startup::App,
    telemetry,
};
use secrecy::ExposeSecret;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Invites people to enroll their devices in MDM.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service: API and delivery workers
    Serve(Box<ServeArgs>),
    /// Apply pending migrations to the database
    Migrate(DatabaseArgs),
    /// Print the OpenAPI document
    Openapi,
    /// Manage API keys
    ApiKeys {
        #[command(subcommand)]
        command: ApiKeys,
    },
}

#[derive(Subcommand)]
enum ApiKeys {
    /// Make a key and print it: the only time that it is shown
    Create {
        #[command(flatten)]
        database: DatabaseArgs,
        /// What the key is for
        #[arg(long)]
        name: String,
        /// What it may do
        #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(Role::NAMES))]
        role: String,
    },
}

fn main() -> ExitCode {
    // A missing .env is fine; one that cannot be read is not.
    if let Err(error) = dotenvy::dotenv()
        && !error.not_found()
    {
        eprintln!("enlist: .env: {error}");
        return ExitCode::FAILURE;
    }
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("enlist: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Serve(args) => {
            telemetry::init(&args.logging.log, args.logging.log_format)
                .map_err(|problem| anyhow::anyhow!("ENLIST_LOG {problem}"))?;
            let config = args.check()?;
            tokio::runtime::Builder::new_multi_thread()
                .enable_all()
                .build()?
                .block_on(serve(config))
        }
        Command::Migrate(database) => {
            let applied = db::migrate(database.url()?).map_err(|error| {
                anyhow::anyhow!("DATABASE_URL: cannot migrate the database: {error}")
            })?;
            match applied.len() {
                0 => println!("The database is up to date."),
                number => println!("{number} migrations applied: {}.", applied.join(", ")),
            }
            Ok(())
        }
        Command::Openapi => Ok(std::io::stdout().write_all(http::openapi::json()?.as_bytes())?),
        Command::ApiKeys {
            command:
                ApiKeys::Create {
                    database,
                    name,
                    role,
                },
        } => {
            let role = Role::from_name(&role).context("unknown role")?;
            let name = enlist::wire::line(&name, 200)
                .map_err(|flaw| anyhow::anyhow!("--name {}", flaw.detail))?;
            let mut connection = PgConnection::establish(database.url()?)
                .context("DATABASE_URL: the database cannot be reached")?;
            let clock = Clock::system();
            let key = keys::create(&mut connection, clock.new_id(), &name, role, clock.now())
                .context("the key cannot be stored; is the schema there (enlist migrate)?")?;
            println!("{}", key.expose_secret());
            Ok(())
        }
    }
}

async fn serve(config: enlist::config::Config) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let app = App::build(config, Clock::system()).await?;
    tracing::info!(
        port = app.port(),
        version = env!("CARGO_PKG_VERSION"),
        "listening"
    );
    let stopper = app.stopper();
    let watcher = tokio::spawn(async move {
        signaled(&mut terminate, &mut interrupt).await;
        tracing::info!("stopping: finishing what is under way; once more to stop at once");
        tokio::select! {
            () = stopper.stop() => {}
            () = signaled(&mut terminate, &mut interrupt) => std::process::exit(130),
        }
        signaled(&mut terminate, &mut interrupt).await;
        std::process::exit(130);
    });
    let result = app.run().await;
    watcher.abort();
    tracing::info!("stopped");
    result
}

/// Waits for SIGTERM or SIGINT.
async fn signaled(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}
