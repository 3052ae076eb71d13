//! `enlist migrate`: brings the database up to date.

use clap::Args;
use enlist::{
    config::{DatabaseArgs, KEEP_AUDIT, LogArgs, Names, OwnerArgs, kept_audit},
    server::schema::{bring_up, keep_audit},
};

use super::{database::with_database, out::say, runtime::start_logging, signals::end_when_asked};

/// What `migrate` takes.
#[derive(Args)]
pub struct MigrateArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    owner: OwnerArgs,
    /// Days after which the service may forget audit events, or forever; without it, that stays as it is
    #[arg(long, env = KEEP_AUDIT)]
    keep_audit: Option<String>,
    #[command(flatten)]
    logging: LogArgs,
}

/// Applies pending migrations and says which.
pub fn run(args: &MigrateArgs, names: &Names) -> anyhow::Result<()> {
    // It says what it waits for.
    start_logging(&args.logging, names)?;
    end_when_asked()?;
    with_database(&args.database, |url| {
        let urls = args.owner.beside(url)?;
        let keep = args.keep_audit.as_deref().map(kept_audit).transpose()?;
        let applied = bring_up(&urls)?;
        if let Some(keep) = keep {
            keep_audit(&urls, keep)?;
        }
        match applied.len() {
            0 => say("The database is up to date."),
            number => say(format_args!(
                "{number} migrations applied: {}.",
                applied.join(", ")
            )),
        }
    })
}
