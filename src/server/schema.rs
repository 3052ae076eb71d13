//! Brings the database up to date, for `enlist migrate` and for every start: with the owner's URL where there is one.

use secrecy::ExposeSecret;

use crate::{
    config::{DATABASE_URL, DatabaseUrls, MIGRATE_URL},
    db,
};

/// Applies pending migrations, grants the service's role what it needs where it is another than the owner's, and gives the
/// versions that were applied.
///
/// # Errors
/// What stops it, with the variable that it is about.
pub fn bring_up(urls: &DatabaseUrls) -> anyhow::Result<Vec<String>> {
    let service = urls.service.expose_secret();
    let applied = match &urls.owner {
        None => db::migrate(service).map_err(|error| (DATABASE_URL, error)),
        Some(owner) => {
            let service = db::schema_at(service)
                .map_err(|error| anyhow::anyhow!("{DATABASE_URL}: {error}"))?;
            db::migrate_for(owner.expose_secret(), Some(&service))
                .map_err(|error| (MIGRATE_URL, error))
        }
    };
    applied.map_err(|(variable, error)| {
        anyhow::anyhow!("{variable}: cannot migrate the database: {error}")
    })
}
