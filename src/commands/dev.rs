//! `enlist dev`: everything on one machine, for trying it.

use std::sync::Arc;

use anyhow::Context;
use enlist::{
    clock::Clock,
    config::{DATA_DIR, DevArgs, Names},
    db,
    embedded::{
        dev,
        mailbox::Mailbox,
        postgres::{Options, Postgres},
        receiver::Receiver,
        samples,
    },
    secrets::keys::KeyRing,
    server::startup::App,
};
use secrecy::ExposeSecret;

use super::{
    database::connected,
    out::print,
    run::{built, until_stopped},
    runtime::{block_on, start_logging},
    signals::Signals,
};

/// Starts all that the service needs, and the service, and runs it until it is told to stop.
pub fn run(args: DevArgs, names: &Names) -> anyhow::Result<()> {
    start_logging(&args.logging, names)?;
    let postgres = Postgres::start(
        &args.data_dir,
        Options {
            bin_dir: args.postgres_bin.clone(),
            fresh: args.fresh,
            ..Options::default()
        },
    )?;
    let clock = Clock::system();
    db::migrate(postgres.url())
        .map_err(|error| anyhow::anyhow!("cannot migrate the database: {error}"))?;
    let mut connection = connected(postgres.url())?;
    let added = samples::add(&mut connection, &clock)?;
    let keys = dev::secret_keys(&args.data_dir)?;
    let ring = Arc::new(KeyRing::parse(keys.expose_secret())?);
    dev::auth_header(&mut connection, &args.data_dir, &clock, ring)?;
    let mailbox = Mailbox::open(&args.data_dir, clock.clone())
        .with_context(|| format!("{DATA_DIR}: {}", args.data_dir.display()))?;
    if args.fresh {
        mailbox.clear()?;
    }
    drop(connection);
    block_on(async move {
        let receiver = Receiver::start(mailbox.clone()).await?;
        let config = args.check(postgres.url(), &receiver.url(), keys)?;
        let mut signals = Signals::listen()?;
        let build = App::build_with(config, clock, Some(mailbox.clone()));
        let app = built(&mut signals, build).await?;
        greet(&args, app.port(), added);
        let result = until_stopped(app, signals, Some(postgres), move || mailbox.close()).await;
        receiver.stop().await;
        result
    })?
}

/// What a newcomer needs to know, in a few lines.
fn greet(args: &DevArgs, port: u16, added: usize) {
    let header = args.data_dir.join("auth-header");
    let header = header.display();
    let users = match added {
        0 => "what was there before".to_owned(),
        added => format!("{added} sample users"),
    };
    // It runs on, whoever reads that.
    let _ = print(&format!(
        "Enlist is running on http://localhost:{port} with {users}. Its data is in {}.

  Mailbox   http://localhost:{port}/dev/mailbox
  API       http://localhost:{port}/docs

Try, in another shell:

  curl -H @{header} 'localhost:{port}/users?q=ada'
  curl -H @{header} -H 'Content-Type: application/json' localhost:{port}/invitations/preview -d '{{\"filter\": {{\"q\": \"ada\"}}}}'
  curl -H @{header} -H 'Content-Type: application/json' localhost:{port}/invitations/send -d '{{\"filter\": {{\"q\": \"ada\"}}}}'

Ctrl-C stops it; the next start goes on where this one ended.\n",
        args.data_dir.display(),
    ));
}
