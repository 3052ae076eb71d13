//! From a [`Config`] to a running service: the same way for `serve` and for the tests.

use std::{
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use actix_web::{HttpServer, dev::ServerHandle, web};
use anyhow::Context;
use secrecy::{ExposeSecret, SecretString};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};

use super::{
    addresses,
    api::{self, Shared},
    check::{foreign, too_few_connections},
    draining::Draining,
    failover::Failovers,
    gate::Gate,
    health::Document,
    keys::check_keys,
    openapi, outgoing,
    router::Routes,
    schema::{await_database, bring_up, keep_audit, look_at_ways},
    timekeeping::Timekeeper,
    vanished,
};
use crate::{
    access::Access,
    audit::{heads, linking::Linker},
    batches::progress::Progress,
    bounces,
    clock::Clock,
    config::{Config, InstanceRole},
    db::Db,
    embedded::mailbox::Mailbox,
    enrollments::{landing::render::Pages, pin_requests::Line},
    http::{base_path::BasePath, limits::Limits},
    invitations::plan::Untold,
    mail::letter::Writer,
    metrics::Metrics,
    outbox::{attempt::Courier, listen::Listener, registrations::Registrations, worker::Worker},
    reminders,
    retention::{self, Keep},
    secrets::{line, password::Hasher},
    settings,
    state::State,
    trials::Tester,
    users::{http::Uploads, name_keys},
};

/// How long requests that are under way may still take after the service was told to stop, in seconds.
const SHUTDOWN_TIMEOUT: u64 = 30;

/// How long the last audit events may take to be linked when the service stops.
const LINKED_WITHIN: Duration = Duration::from_secs(5);

/// How long a client may take to send the head of a request.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// The service, built and listening, not yet running.
pub struct App {
    server: actix_web::dev::Server,
    address: SocketAddr,
    role: InstanceRole,
    worker: Worker,
    keep: Keep,
    audit_heads: Option<PathBuf>,
    /// For those that need a connection of their own.
    database_url: SecretString,
    stop: watch::Sender<bool>,
    draining: Draining,
    drain: Duration,
    timekeeper: Timekeeper,
}

impl App {
    /// Migrates (unless told not to), checks that no key is missing that something needs, and binds
    /// the port.
    ///
    /// # Errors
    /// Whatever stops the start, in words for the operator.
    pub async fn build(config: Config, clock: Clock) -> anyhow::Result<Self> {
        Self::build_with(config, clock, None).await
    }

    /// The same, with a mailbox page: then only this machine's own names are answered to.
    ///
    /// # Errors
    /// As [`App::build`].
    pub async fn build_with(
        config: Config,
        clock: Clock,
        mailbox: Option<Mailbox>,
    ) -> anyhow::Result<Self> {
        let url = config.database.service.expose_secret().to_owned();
        let (urls, keep, migrates) = (config.database.clone(), config.keep.audit, config.migrate);
        let work = move || {
            await_database(&urls);
            if !migrates {
                look_at_ways(&urls)?;
                return Ok(Vec::new());
            }
            let applied = bring_up(&urls)?;
            keep_audit(&urls, keep)?;
            anyhow::Ok(applied)
        };
        for version in tokio::task::spawn_blocking(work).await?? {
            tracing::info!(version, "migration applied");
        }
        let db = Db::new(&url, config.database_connections);
        let metrics = Arc::new(Metrics::new()?);
        let mut timekeeper = Timekeeper::new(db.clone(), clock.clone(), Arc::clone(&metrics));
        // Before anything is timed. If the database is away, whoever asks it next says so.
        let _ = timekeeper.ask().await;
        let keys = Arc::new(config.keys);
        check_keys(&db, &keys, &clock).await?;
        if let Ok(Some(warning)) = too_few_connections(&db, config.database_connections).await {
            tracing::warn!("{warning}");
        }
        if let Ok(Some(locale)) = db.foreign_language().await {
            tracing::warn!("{}", foreign(&locale));
        }

        let listener = TcpListener::bind(config.http.listen)
            .with_context(|| format!("ENLIST_LISTEN: cannot listen on {}", config.http.listen))?;
        let address = listener.local_addr()?;
        let port = address.port();
        let public_url = addresses::public_url(&config.http, port);
        for warning in &config.mail.warnings {
            tracing::warn!("{warning}");
        }
        // A mailbox page shows mails on this machine, whoever they are from.
        let mut untold = Untold::default();
        if mailbox.is_none() {
            let links = addresses::of_links(&config.http, &config.mail, &public_url);
            let sender = addresses::of_sender(&config.mail);
            for warning in links.into_iter().chain(sender) {
                tracing::warn!("{warning}");
            }
            untold = Untold {
                public_url: config.http.public_url.is_none(),
                sender: !config.mail.has_sender(),
            };
        }
        if let Some(path) = &config.audit_heads {
            heads::try_file(path)
                .with_context(|| format!("ENLIST_AUDIT_HEADS: cannot write {}", path.display()))?;
        }
        let smtp = outgoing::pool(&config.mail, config.delivery.connections, &clock)?;
        let limits = Limits::new(config.callers.limits, clock.clone());
        let is_https = public_url.starts_with("https://");
        let base = BasePath::of(&public_url);
        let registrations = Registrations::new(Arc::clone(&keys), settings::queries::registrations);
        let access = web::Data::new(Access::new(db.clone()));
        let pages = Pages::new(&config.branding)?;
        let writer = Arc::new(Writer::new(
            config.branding,
            config.mail.from,
            config.mail.reply_to,
            public_url,
        )?);
        let tester = Tester {
            writer: Arc::clone(&writer),
            smtp: smtp.clone(),
            bounces: config.mail.bounces.clone(),
        };
        let bell = Arc::new(Notify::new());
        let stop = watch::Sender::new(false);
        let draining = Draining::default();
        let worker = Worker {
            db: db.clone(),
            courier: Courier {
                clock: clock.clone(),
                keys: Arc::clone(&keys),
                writer: Arc::clone(&writer),
                smtp: Arc::new(smtp),
                bounces: config.mail.bounces,
                metrics: Arc::clone(&metrics),
            },
            connections: config.delivery.connections,
            rate: config.delivery.rate,
            probe_every: config.delivery.probe_every,
            registrations: registrations.clone(),
            bell: Arc::clone(&bell),
        };
        let gate = Gate {
            routes: match mailbox {
                Some(_) => routes(config.role).with_page("/dev/mailbox"),
                None => routes(config.role),
            },
            access: access.clone(),
            limits: limits.clone(),
            proxies: config.callers.proxies,
            local_only: mailbox.is_some(),
            base,
        };
        let shared = Shared {
            gate: web::Data::new(gate),
            log: web::Data::default(),
            access,
            writer: web::Data::from(writer),
            pages: web::Data::new(pages),
            registrations: web::Data::new(registrations),
            tester: web::Data::new(tester),
            limits: web::Data::new(limits),
            mails_a_day: web::Data::new(config.delivery.mails_a_day),
            untold: web::Data::new(untold),
            pin_requests: web::Data::new(Line::default()),
            progress: web::Data::new(Progress::new(db.clone(), clock.clone(), stop.subscribe())),
            uploads: web::Data::new(Uploads::default()),
            document: web::Data::new(Document::new(|| openapi::json().unwrap_or_default())),
            draining: web::Data::new(draining.clone()),
            mailbox: mailbox.map(web::Data::new),
            is_https,
            state: web::Data::new(State {
                db,
                clock,
                keys,
                hasher: Hasher::default(),
                pins: line::Line::default(),
                bell,
                metrics,
            }),
        };
        let origins = config.callers.cors_origins;
        let server = HttpServer::new(move || api::app(&shared, &origins))
            .workers(std::thread::available_parallelism().map_or(2, usize::from))
            .keep_alive(config.http.keep_alive)
            .shutdown_timeout(SHUTDOWN_TIMEOUT)
            .client_request_timeout(HEAD_TIME)
            .on_connect(|connection, _| vanished::end_in_time(connection))
            .disable_signals()
            .listen(listener)?
            .run();
        Ok(Self {
            server,
            address,
            role: config.role,
            worker,
            keep: config.keep,
            audit_heads: config.audit_heads,
            database_url: config.database.service,
            stop,
            draining,
            drain: config.http.drain,
            timekeeper,
        })
    }

    /// The port that is listened on: the one that was asked for, or any free one for port 0.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The address and port that are listened on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The delivery side, for whoever wants to tick it by hand.
    pub fn worker(&self) -> &Worker {
        &self.worker
    }

    /// What stops the service: requests and mails that are under way are finished first.
    pub fn stopper(&self) -> Stopper {
        Stopper {
            server: self.server.handle(),
            stop: self.stop.clone(),
            draining: self.draining.clone(),
            drain: self.drain,
        }
    }

    /// Serves until stopped.
    ///
    /// # Errors
    /// When the server cannot run.
    pub async fn run(self) -> anyhow::Result<()> {
        // Nobody waits for what looks after the tables.
        let patient = self.worker.db.patient();
        let tidy = tokio::spawn(retention::run(
            patient.clone(),
            self.worker.courier.clock.clone(),
            self.keep,
        ));
        let linker = Linker::new(
            self.worker.db.clone(),
            Arc::clone(&self.worker.courier.keys),
            self.worker.courier.clock.clone(),
            self.keep.audit,
            self.audit_heads,
        );
        let metrics = Arc::clone(&self.worker.courier.metrics);
        let linking = tokio::spawn(linker.run(self.stop.subscribe(), metrics));
        let timekeeping = tokio::spawn(self.timekeeper.run());
        let failovers = tokio::spawn(Failovers::new(self.worker.db.clone()).run());
        let reminding = tokio::spawn(reminders::run(
            self.worker.db.clone(),
            self.worker.courier.clock.clone(),
        ));
        let naming = tokio::spawn(name_keys::run(patient.clone()));
        let sealing = tokio::spawn(settings::sealing::run(
            patient.clone(),
            Arc::clone(&self.worker.courier.keys),
        ));
        let masking = tokio::spawn(bounces::masking::run(
            patient,
            self.worker.courier.clock.clone(),
        ));
        let handle = self.server.handle();
        let (delivers, stopped) = (self.role != InstanceRole::Api, self.stop.subscribe());
        let listener = delivers.then(|| {
            let url = self.database_url.expose_secret().to_owned();
            Listener::start(url, Arc::clone(&self.worker.bell))
        });
        let _listener = listener.transpose().context("no thread to listen on")?;
        let delivery: JoinHandle<()> = tokio::spawn(async move {
            if delivers {
                self.worker.run(stopped).await;
            } else {
                until_true(stopped).await;
            }
        });
        let watched = async {
            let ended = delivery.await;
            // Delivery ends only when it is told to: an API without it would take what nobody sends.
            handle.stop(true).await;
            ended
        };
        let (served, delivered) = tokio::join!(
            async {
                let served = self.server.await;
                self.stop.send_replace(true);
                served
            },
            watched
        );
        tidy.abort();
        // It links what was written at last, and tells the end.
        let _ = tokio::time::timeout(LINKED_WITHIN, linking).await;
        timekeeping.abort();
        failovers.abort();
        reminding.abort();
        naming.abort();
        sealing.abort();
        masking.abort();
        delivered.context("delivery failed")?;
        served.context("the server failed")
    }
}

async fn until_true(mut flag: watch::Receiver<bool>) {
    // The sender lives in the app; when it is gone, so is the reason to wait.
    let _ = flag.wait_for(|flag| *flag).await;
}

/// Stops a running [`App`].
#[derive(Clone)]
pub struct Stopper {
    server: ServerHandle,
    stop: watch::Sender<bool>,
    draining: Draining,
    drain: Duration,
}

impl Stopper {
    /// Answers a little longer and lets everybody know, so that whoever sends requests here finds another instance.
    pub async fn drain(&self) {
        self.draining.begin();
        tokio::time::sleep(self.drain).await;
    }

    /// Takes no more, finishes what is under way.
    pub async fn stop(&self) {
        self.stop.send_replace(true);
        self.server.stop(true).await;
    }
}

/// What this instance answers: a mere worker only says how it is.
fn routes(role: InstanceRole) -> Routes {
    match role {
        InstanceRole::Worker => api::table_of_health(),
        InstanceRole::Api | InstanceRole::All => api::table(),
    }
}
