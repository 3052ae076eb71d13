//! Brings the database up to date, for `enlist migrate` and for every start: with the owner's URL where there is one.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use secrecy::ExposeSecret;

use crate::{
    audit::forgetting,
    config::{DATABASE_URL, DatabaseUrls, MIGRATE_URL},
    db,
};

/// Whether the ways to the database are ones that Enlist can go.
///
/// # Errors
/// What is wrong with them, with the variable that it is about.
pub fn look_at_ways(urls: &DatabaseUrls) -> anyhow::Result<()> {
    let owner = urls.owner.as_ref().map(|url| (MIGRATE_URL, url));
    for (variable, url) in [(DATABASE_URL, &urls.service)].into_iter().chain(owner) {
        match db::unfit_pooler(url.expose_secret()) {
            Ok(None) => {}
            Ok(Some(reason)) | Err(reason) => anyhow::bail!("{variable}: {reason}"),
        }
    }
    Ok(())
}

/// How long a start waits for a database that is not there yet, as after a power cut.
const AWAITED: Duration = Duration::from_secs(60);
/// How often it looks.
const LOOKED: Duration = Duration::from_secs(1);

/// Waits until the database lets somebody in, as long as that may come by itself; what else is wrong is for whoever asks
/// next to say.
pub fn await_database(urls: &DatabaseUrls) {
    let begun = Instant::now();
    let mut is_told = false;
    while let Err(error) = db::connect(urls.service.expose_secret()) {
        if !db::may_pass(&error) || begun.elapsed() > AWAITED {
            return;
        }
        if !std::mem::replace(&mut is_told, true) {
            tracing::warn!(error, up_to = ?AWAITED, "the database is not there yet: waiting for it");
        }
        std::thread::sleep(LOOKED);
    }
}

/// Applies pending migrations, grants the service's role what it needs where it is another than the owner's, and gives the
/// versions that were applied.
///
/// # Errors
/// What stops it, with the variable that it is about.
pub fn bring_up(urls: &DatabaseUrls) -> anyhow::Result<Vec<String>> {
    look_at_ways(urls)?;
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

/// Writes down how long audit events are to be kept, with the rights of whoever owns the schema: the service's own role
/// cannot say so, and forgets nothing younger. Without those rights nothing is written.
///
/// # Errors
/// When the database cannot be reached.
pub fn keep_audit(urls: &DatabaseUrls, keep: Option<TimeDelta>) -> anyhow::Result<()> {
    let (variable, url) = match &urls.owner {
        Some(owner) => (MIGRATE_URL, owner),
        None => (DATABASE_URL, &urls.service),
    };
    let mut connection =
        db::connect(url.expose_secret()).map_err(|error| anyhow::anyhow!("{variable}: {error}"))?;
    forgetting::allow(&mut connection, keep).map_err(|error| {
        anyhow::anyhow!("{variable}: cannot say how long the audit log is kept: {error}")
    })
}
