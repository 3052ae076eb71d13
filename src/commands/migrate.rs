//! `enlist migrate`: brings the database up to date.

use clap::Args;
use enlist::{
    config::{DatabaseArgs, OwnerArgs},
    server::schema::bring_up,
};

use super::database::with_database;

/// What `migrate` takes.
#[derive(Args)]
pub struct MigrateArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    owner: OwnerArgs,
}

/// Applies pending migrations and says which.
pub fn run(args: &MigrateArgs) -> anyhow::Result<()> {
    with_database(&args.database, |url| {
        let applied = bring_up(&args.owner.beside(url)?)?;
        match applied.len() {
            0 => println!("The database is up to date."),
            number => println!("{number} migrations applied: {}.", applied.join(", ")),
        }
        Ok(())
    })
}
