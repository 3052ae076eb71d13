//! Runs a service that was built, until it is told to stop: `enlist serve` and `enlist dev` end in the same way.

use std::future;

use enlist::{embedded::postgres::Postgres, server::startup::App};

use super::signals::Signals;

/// Builds a service, unless the process is told to stop before: nothing is under way then.
pub async fn built(
    signals: &mut Signals,
    build: impl Future<Output = anyhow::Result<App>>,
) -> anyhow::Result<App> {
    tokio::select! {
        app = build => app,
        () = signals.next() => {
            tracing::info!("stopped before it was ready");
            // A migration that is under way is taken back by the database; waiting for it could take long.
            std::process::exit(0)
        }
    }
}

/// Serves until SIGTERM or SIGINT, or until the embedded Postgres is gone for good. A second signal
/// ends it at once.
pub async fn until_stopped(
    app: App,
    mut signals: Signals,
    mut postgres: Option<Postgres>,
    on_stop: impl FnOnce() + Send + 'static,
) -> anyhow::Result<()> {
    let stopper = app.stopper();
    let watcher = tokio::spawn(async move {
        let lost = async {
            match &mut postgres {
                Some(postgres) => postgres.gave_up().await,
                None => future::pending().await,
            }
        };
        let failure = tokio::select! {
            () = signals.next() => None,
            error = lost => Some(error),
        };
        tracing::info!("stopping: finishing what is under way; once more to stop at once");
        on_stop();
        tokio::select! {
            () = stopper.stop() => {}
            () = signals.next() => std::process::exit(130),
        }
        (failure, postgres)
    });
    let served = app.run().await;
    let (failure, postgres) = watcher.await?;
    // Postgres goes last: what was under way needed it.
    tokio::task::spawn_blocking(move || drop(postgres)).await?;
    match failure {
        Some(error) => Err(error.into()),
        None => served,
    }
}
