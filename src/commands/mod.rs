//! What each command does.

pub mod users;

use std::io::{IsTerminal, Read, Write};

use anyhow::Context;
use clap::Args;
use diesel::{Connection, PgConnection};
use enlist::{
    access::{domain::Operator, keys, operators},
    audit::{
        Trail,
        chain::{self, Head},
        domain::{Action, Event, SubjectKind},
    },
    bounces::{self, LARGEST},
    clock::Clock,
    config::{Config, DatabaseArgs, DevArgs, LogArgs, SECRET_KEYS, ServeArgs},
    db,
    embedded::{
        dev,
        mailbox::Mailbox,
        postgres::{self, Options, Postgres},
        receiver::Receiver,
        samples,
    },
    model::{caller::Role, identity::Email, secret_input::Password},
    secrets::{keys::KeyRing, password},
    server::{self, startup::App},
    telemetry,
};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// More than any password, in bytes.
const LONGEST_LINE: u64 = 4_096;

/// A database, and the keys that belong to it.
#[derive(Debug, Clone, Args)]
pub struct KeyedArgs {
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// The service's keys, also those of before
    #[arg(long, env = SECRET_KEYS, hide_env_values = true)]
    pub secret_keys: Option<SecretString>,
}

/// What `audit verify` takes.
#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub keyed: KeyedArgs,
    /// An end of the chain that an earlier check gave: whether it is still there is checked, too
    #[arg(long, value_name = "POSITION:MAC")]
    pub head: Option<Head>,
}

/// Everything on one machine, for trying it.
pub fn dev(args: DevArgs) -> anyhow::Result<()> {
    start_logging(&args.logging)?;
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
    let mut connection = PgConnection::establish(postgres.url())?;
    let added = samples::add(&mut connection, &clock)?;
    dev::auth_header(&mut connection, &args.data_dir, &clock)?;
    let keys = dev::secret_keys(&args.data_dir)?;
    let mailbox = Mailbox::open(&args.data_dir, clock.clone())
        .with_context(|| format!("ENLIST_DATA_DIR: {}", args.data_dir.display()))?;
    if args.fresh {
        mailbox.clear()?;
    }
    drop(connection);
    runtime()?.block_on(async move {
        let receiver = Receiver::start(mailbox.clone()).await?;
        let config = args.check(postgres.url(), &receiver.url(), keys)?;
        let app = App::build_with(config, clock, Some(mailbox.clone())).await?;
        greet(&args, app.port(), added);
        let result = until_stopped(app, Some(postgres), move || mailbox.close()).await;
        receiver.stop().await;
        result
    })
}

/// What a newcomer needs to know, in a few lines.
fn greet(args: &DevArgs, port: u16, added: usize) {
    let header = args.data_dir.join("auth-header");
    let header = header.display();
    let users = match added {
        0 => "what was there before".to_owned(),
        added => format!("{added} sample users"),
    };
    println!(
        "Enlist is running on http://localhost:{port} with {users}. Its data is in {}.

  Mailbox   http://localhost:{port}/dev/mailbox
  API       http://localhost:{port}/docs

Try, in another shell:

  curl -H @{header} 'localhost:{port}/users?q=ada'
  curl -H @{header} -H 'Content-Type: application/json' localhost:{port}/invitations/preview -d '{{\"filter\": {{\"q\": \"ada\"}}}}'
  curl -H @{header} -H 'Content-Type: application/json' localhost:{port}/invitations/send -d '{{\"filter\": {{\"q\": \"ada\"}}}}'

Ctrl-C stops it; the next start goes on where this one ended.",
        args.data_dir.display(),
    );
}

/// The service: API and delivery workers.
pub fn serve(mut args: ServeArgs) -> anyhow::Result<()> {
    start_logging(&args.logging)?;
    let postgres = if args.database.is_embedded() {
        let postgres = embedded(&args.database)?;
        args.database.database_url = Some(postgres.url().into());
        if args.keys.secret_keys.is_none() {
            args.keys.secret_keys = Some(dev::secret_keys(&args.database.data_dir)?);
        }
        Some(postgres)
    } else {
        None
    };
    let config: Config = args.check()?;
    // After the database was started, which has limits of its own.
    allow_many_connections();
    runtime()?.block_on(async move {
        let app = App::build(config, Clock::system()).await?;
        tracing::info!(
            port = app.port(),
            version = env!("CARGO_PKG_VERSION"),
            "listening"
        );
        let result = until_stopped(app, postgres, || ()).await;
        tracing::info!("stopped");
        result
    })
}

/// Serves until SIGTERM or SIGINT, or until the embedded Postgres is gone for good. A second signal
/// ends it at once.
async fn until_stopped(
    app: App,
    mut postgres: Option<Postgres>,
    on_stop: impl FnOnce() + Send + 'static,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stopper = app.stopper();
    let watcher = tokio::spawn(async move {
        let lost = async {
            match &mut postgres {
                Some(postgres) => postgres.gave_up().await,
                None => std::future::pending().await,
            }
        };
        let failure = tokio::select! {
            () = signaled(&mut terminate, &mut interrupt) => None,
            error = lost => Some(error),
        };
        tracing::info!("stopping: finishing what is under way; once more to stop at once");
        on_stop();
        tokio::select! {
            () = stopper.stop() => {}
            () = signaled(&mut terminate, &mut interrupt) => std::process::exit(130),
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

/// Waits for SIGTERM or SIGINT.
pub async fn signaled(terminate: &mut Signal, interrupt: &mut Signal) {
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

/// Applies pending migrations.
pub fn migrate(database: &DatabaseArgs) -> anyhow::Result<()> {
    with_database(database, |url| {
        let applied = db::migrate(url).map_err(|error| {
            anyhow::anyhow!("DATABASE_URL: cannot migrate the database: {error}")
        })?;
        match applied.len() {
            0 => println!("The database is up to date."),
            number => println!("{number} migrations applied: {}.", applied.join(", ")),
        }
        Ok(())
    })
}

/// Prints the OpenAPI document.
pub fn openapi() -> anyhow::Result<()> {
    Ok(std::io::stdout().write_all(server::openapi::json()?.as_bytes())?)
}

/// Makes an API key and prints just the key.
pub fn create_api_key(database: &DatabaseArgs, name: &str, role: &str) -> anyhow::Result<()> {
    let role = Role::from_name(role).context("unknown role")?;
    let name = enlist::model::wire::line(name, 200)
        .map_err(|flaw| anyhow::anyhow!("--name {}", flaw.detail))?;
    with_database(database, |url| {
        let mut connection =
            db::connect(url).map_err(|error| anyhow::anyhow!("DATABASE_URL: {error}"))?;
        let clock = Clock::system();
        let (id, trail) = (clock.new_id(), Trail::shell(clock.clone()));
        let key = connection
            .transaction(|connection| {
                let event = Event::new(Action::ApiKeyCreated, SubjectKind::ApiKey, id)
                    .after(&json!({"name": name, "role": role}));
                trail.record(connection, &event)?;
                keys::create(connection, id, &name, role, None, clock.now())
            })
            .context("the key cannot be stored; is the schema there (enlist migrate)?")?;
        println!("{}", key.expose_secret());
        Ok(())
    })
}

/// Adds an operator. The password never stands in a command line, where every process can read it.
pub fn create_operator(database: &DatabaseArgs, email: &str, role: &str) -> anyhow::Result<()> {
    let role = Role::from_name(role).context("unknown role")?;
    let email = Email::parse(email).map_err(|flaw| anyhow::anyhow!("--email {}", flaw.detail))?;
    let password = Password::parse(&typed_password()?)
        .map_err(|flaw| anyhow::anyhow!("the password {}", flaw.detail))?;
    let hash = password::hash(&password).map_err(anyhow::Error::msg)?;
    with_database(database, |url| {
        let mut connection =
            db::connect(url).map_err(|error| anyhow::anyhow!("DATABASE_URL: {error}"))?;
        let clock = Clock::system();
        let now = clock.now();
        let operator = Operator {
            id: clock.new_id(),
            email: email.as_str().to_owned(),
            role,
            enabled: true,
            created_at: now,
            updated_at: now,
            last_sign_in_at: None,
        };
        let trail = Trail::shell(clock.clone());
        let stored = connection.transaction(|connection| {
            let event = Event::new(Action::OperatorCreated, SubjectKind::Operator, operator.id);
            trail.record(connection, &event.after(&operator))?;
            operators::insert(connection, &operator, &hash)
        });
        match stored {
            Err(error) if operators::is_taken(&error) => {
                anyhow::bail!("another operator has the address {}", operator.email)
            }
            stored => stored
                .context("the operator cannot be stored; is the schema there (enlist migrate)?")?,
        }
        println!("{}", operator.id);
        Ok(())
    })
}

/// Checks the audit log's chain: what is wrong goes to standard output, and the exit code says whether anything is.
pub fn verify_audit(args: &VerifyArgs) -> anyhow::Result<()> {
    let keys = keys_of(&args.keyed)?;
    with_database(&args.keyed.database, |url| {
        let mut connection =
            db::connect(url).map_err(|error| anyhow::anyhow!("DATABASE_URL: {error}"))?;
        let verified = chain::verify(&mut connection, &keys)
            .context("the audit log cannot be read; is the schema there (enlist migrate)?")?;
        let mut faults = verified.faults;
        if let Some(head) = &args.head
            && !head.is_there(&mut connection)?
        {
            faults.push("the end that was noted earlier is not in the chain any more".into());
        }
        for fault in &faults {
            println!("{fault}");
        }
        println!(
            "{} events are in the chain, {} not yet, {} were forgotten.",
            verified.linked, verified.unlinked, verified.forgotten
        );
        if let Some(head) = &verified.head {
            println!("Its end is {head}; note it elsewhere, to notice when the log is cut off.");
        }
        match faults.len() {
            0 => Ok(()),
            faults => anyhow::bail!("the audit log is not what was written: {faults} faults"),
        }
    })
}

/// Takes a mail that came back from standard input. Whatever it says is no error: the mail server has done its part.
pub fn bounce(args: &KeyedArgs) -> anyhow::Result<()> {
    let keys = keys_of(args)?;
    let mut mail = Vec::new();
    let mut input = std::io::stdin().lock();
    (&mut input)
        .take(LARGEST as u64)
        .read_to_end(&mut mail)
        .context("the mail cannot be read from standard input")?;
    // The rest is what was sent; a mail server takes it amiss if nobody reads it.
    std::io::copy(&mut input, &mut std::io::sink())?;
    with_database(&args.database, |url| {
        let mut connection =
            db::connect(url).map_err(|error| anyhow::anyhow!("DATABASE_URL: {error}"))?;
        let trail = Trail::shell(Clock::system());
        let taken = connection
            .transaction(|connection| bounces::take(connection, &keys, &trail, &mail))
            .context("the report cannot be stored; is the schema there (enlist migrate)?")?;
        println!("{}", taken.outcome);
        Ok(())
    })
}

fn keys_of(args: &KeyedArgs) -> anyhow::Result<KeyRing> {
    let keys = match &args.secret_keys {
        Some(keys) => keys.clone(),
        None if args.database.is_embedded() => dev::secret_keys(&args.database.data_dir)?,
        None => anyhow::bail!("ENLIST_SECRET_KEYS is not set; give the service's own"),
    };
    KeyRing::parse(keys.expose_secret())
        .map_err(|error| anyhow::anyhow!("ENLIST_SECRET_KEYS {error}"))
}

/// From a terminal asked for twice and not shown, else the first line of standard input.
fn typed_password() -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        let mut line = String::new();
        std::io::stdin()
            .take(LONGEST_LINE)
            .read_to_string(&mut line)
            .context("the password cannot be read from standard input")?;
        return Ok(line.lines().next().unwrap_or_default().to_owned());
    }
    let password = rpassword::prompt_password("Password: ")?;
    if rpassword::prompt_password("Once more: ")? != password {
        anyhow::bail!("these are two passwords");
    }
    Ok(password)
}

/// Runs `work` on the database that is configured: without one on the embedded database, the running
/// one if there is one, else one that is started for this.
pub fn with_database<T>(
    database: &DatabaseArgs,
    work: impl FnOnce(&str) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    if !database.is_embedded() {
        return work(database.url()?);
    }
    match postgres::url_of_running(&database.data_dir) {
        Some(url) => work(&url),
        None => {
            let postgres = embedded(database)?;
            work(postgres.url())
        }
    }
}

fn embedded(database: &DatabaseArgs) -> anyhow::Result<Postgres> {
    let options = Options {
        bin_dir: database.postgres_bin.clone(),
        ..Options::default()
    };
    Ok(Postgres::start(&database.data_dir, options)?)
}

fn start_logging(logging: &LogArgs) -> anyhow::Result<()> {
    telemetry::init(&logging.log, logging.log_format)
        .map_err(|problem| anyhow::anyhow!("ENLIST_LOG {problem}"))
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

pub fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}
