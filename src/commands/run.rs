//! Runs a service that was built, until it is told to stop: `enlist serve` and `enlist dev` end in the same way.

use std::future;

use enlist::{embedded::postgres::Postgres, server::startup::App};

use sd_notify::NotifyState;

use super::{
    out::end,
    signals::{Asked, Signals},
};

/// Builds a service, unless the process is told to stop before: nothing is under way then.
pub async fn built(
    signals: &mut Signals,
    build: impl Future<Output = anyhow::Result<App>>,
) -> anyhow::Result<App> {
    tokio::select! {
        app = build => app,
        _ = signals.next() => {
            tracing::info!("stopped before it was ready");
            // A migration that is under way is taken back by the database; waiting for it could take long.
            end(0)
        }
    }
}

/// Tells systemd how far the service is, where that wants to know (`Type=notify`).
pub fn tell_supervisor(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "systemd cannot be told how far the service is");
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
        let (failure, drains) = tokio::select! {
            asked = signals.next() => (None, asked == Asked::Politely),
            error = lost => (Some(error), false),
        };
        tell_supervisor(NotifyState::Stopping);
        tracing::info!("stopping: what is under way is finished; a second signal ends it at once");
        on_stop();
        let stop = async {
            // At a terminal nobody else could answer.
            if drains {
                stopper.drain().await;
            }
            stopper.stop().await;
        };
        tokio::select! {
            () = stop => {}
            asked = signals.next() => {
                tracing::warn!("ended at once: what was under way is cut off");
                end(if asked == Asked::Politely { 143 } else { 130 })
            }
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
