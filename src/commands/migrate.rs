//! `enlist migrate`: brings the database up to date.

use enlist::{
    config::{DATABASE_URL, DatabaseArgs},
    db,
};

use super::database::with_database;

/// Applies pending migrations and says which.
pub fn run(database: &DatabaseArgs) -> anyhow::Result<()> {
    with_database(database, |url| {
        let applied = apply(url)?;
        match applied.len() {
            0 => println!("The database is up to date."),
            number => println!("{number} migrations applied: {}.", applied.join(", ")),
        }
        Ok(())
    })
}

/// Applies pending migrations and gives their versions.
pub fn apply(url: &str) -> anyhow::Result<Vec<String>> {
    db::migrate(url)
        .map_err(|error| anyhow::anyhow!("{DATABASE_URL}: cannot migrate the database: {error}"))
}
