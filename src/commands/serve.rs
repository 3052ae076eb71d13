//! `enlist serve`: the service, with its API and its delivery workers.

use anyhow::bail;
use enlist::{
    clock::Clock,
    config::{DATABASE_URL, MIGRATE_URL, Names, ServeArgs},
    embedded::dev,
    server::startup::App,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;

use super::{
    database::start_embedded,
    run::{built, tell_supervisor, until_stopped},
    runtime::{block_on, start_logging},
    signals::Signals,
};

/// In place of the URL of a database that is not there yet.
const NONE_YET: &str = "postgres:///";

/// Runs the service until it is told to stop, on the embedded database if no other one is configured.
pub fn run(mut args: ServeArgs, names: &Names) -> anyhow::Result<()> {
    start_logging(&args.logging, names)?;
    let postgres = if let Some(warning) = args.database.told_of_embedded() {
        tracing::warn!("{warning}");
        look_at_the_rest(&args)?;
        let postgres = start_embedded(&args.database)?;
        args.database.database_url = Some(postgres.url().into());
        if args.keys.secret_keys.is_none() {
            args.keys.secret_keys = Some(dev::secret_keys(&args.database.data_dir)?);
        }
        Some(postgres)
    } else {
        None
    };
    let config = args.check()?;
    // After the database was started, which has limits of its own.
    allow_many_connections();
    block_on(async move {
        // Before the port is open: whoever sees it may send a signal.
        let mut signals = Signals::listen()?;
        let app = built(&mut signals, App::build(config, Clock::system())).await?;
        tracing::info!(
            address = %app.address(),
            version = env!("CARGO_PKG_VERSION"),
            "listening"
        );
        tell_supervisor(NotifyState::Ready);
        let result = until_stopped(app, signals, postgres, || ()).await;
        tracing::info!("stopped");
        result
    })?
}

/// What is wrong with settings that the embedded database does not bring along is said before one is made.
fn look_at_the_rest(args: &ServeArgs) -> anyhow::Result<()> {
    let mut args = args.clone();
    if args.owner.migrate_url.is_some() {
        bail!(
            "{MIGRATE_URL} is set, and {DATABASE_URL} is not: the embedded database has one role"
        );
    }
    args.database.database_url = Some(NONE_YET.into());
    if args.keys.secret_keys.is_none() {
        args.keys.secret_keys = Some(dev::new_secret_keys()?);
    }
    args.check()?;
    Ok(())
}

/// Each connection is an open file, and what a shell or a supervisor allows by itself is often no more than 1,024: a few
/// slow clients would be enough to keep everybody out.
fn allow_many_connections() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: maximum,
        maximum,
    };
    if let Err(error) = setrlimit(Resource::Nofile, most) {
        tracing::warn!(%error, "the limit of open files cannot be raised");
    }
}
