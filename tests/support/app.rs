//! The real app on a port of its own, and a client with an admin's key.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use enlist::{
    access::{domain::KeyName, manage_keys},
    audit::Trail,
    clock::Clock,
    config::{Callers, Config, DatabaseUrls, Delivery, Http, InstanceRole, Mail},
    http::{
        limits::Rates,
        proxies::{Proxies, ProxyHeader},
    },
    invitations::plan::MailsADay,
    mail::branding::Branding,
    model::caller::Role,
    outbox::worker::Worker,
    retention::Keep,
    secrets::keys::KeyRing,
    server::startup::{App, Stopper},
};
use lettre::transport::smtp::extension::ClientId;
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use super::{db::TestDb, smtp::SmtpSink};

pub const KEYS: &str = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

pub struct TestApp {
    pub db: TestDb,
    pub sink: SmtpSink,
    pub clock: Clock,
    pub worker: Worker,
    pub key: String,
    pub base: String,
    client: reqwest::Client,
    stopper: Stopper,
    running: JoinHandle<anyhow::Result<()>>,
    /// What a test leaves in the outbox on purpose.
    pub leaves_unsent: bool,
}

/// When the tests take place.
pub fn start_of_time() -> DateTime<Utc> {
    "2026-11-23T08:00:00Z".parse().unwrap()
}

/// Requests a second for a client, for a key, and where secrets are taken.
pub fn rates(client: u32, key: u32, secrets: u32) -> Rates {
    let rate = |rate: u32| rate.try_into().unwrap();
    Rates {
        client: rate(client),
        key: rate(key),
        secrets: rate(secrets),
    }
}

/// How a test wants its app.
pub struct Setup {
    pub role: InstanceRole,
    pub keys: String,
    pub branding: Branding,
    pub cors_origins: Vec<String>,
    /// Empty: not set.
    pub public_url: String,
    pub clock: Clock,
    pub limits: Rates,
    pub proxies: Proxies,
    /// Who mails are from.
    pub from: String,
    /// Where mails come back to.
    pub bounces: Option<lettre::Address>,
    /// Mails a second over all instances.
    pub mail_rate: Option<std::num::NonZeroU32>,
    /// Whether the service owns its tables. Else it is the lesser role, and only what the tests do is done by the owner.
    pub as_owner: bool,
    /// Invitation mails that a user gets within 24 hours.
    pub mails_a_day: MailsADay,
    /// The database's URL, where the service is to reach it in another way than the tests.
    pub through: Option<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            // The tests tick delivery by hand.
            role: InstanceRole::Api,
            keys: KEYS.to_owned(),
            branding: Branding {
                org_name: "Example & Söhne".into(),
                support: Some("help@example.com".into()),
                logo: None,
            },
            cors_origins: Vec::new(),
            public_url: "https://enroll.example.com".into(),
            clock: Clock::fixed(start_of_time()),
            // Tests come from one address.
            limits: rates(1_000_000, 1_000_000, 1_000_000),
            proxies: Proxies {
                trusted: Vec::new(),
                header: ProxyHeader::XForwardedFor,
            },
            from: "Example IT <it@example.com>".to_owned(),
            bounces: None,
            mail_rate: None,
            as_owner: std::env::var_os("ENLIST_TESTS_AS_OWNER").is_some(),
            mails_a_day: MailsADay::default(),
            through: None,
        }
    }
}

pub fn config(db: &TestDb, sink: &SmtpSink, setup: &Setup) -> Config {
    Config {
        database: DatabaseUrls {
            service: match (&setup.through, setup.as_owner) {
                (Some(url), _) => url.clone().into(),
                (None, true) => db.url.clone().into(),
                (None, false) => db.service_url().into(),
            },
            owner: None,
        },
        database_connections: 4,
        role: setup.role,
        migrate: false,
        http: Http {
            listen: "127.0.0.1:0".parse().unwrap(),
            public_url: Some(setup.public_url.clone()).filter(|url| !url.is_empty()),
            keep_alive: std::time::Duration::from_secs(75),
            drain: std::time::Duration::ZERO,
        },
        mail: Mail {
            smtp: sink.url().parse().unwrap(),
            hello: ClientId::Domain("enlist.test".to_owned()),
            authorities: Vec::new(),
            warnings: Vec::new(),
            from: setup.from.parse().unwrap(),
            reply_to: None,
            bounces: setup.bounces.clone(),
            oauth: None,
        },
        keys: KeyRing::parse(&setup.keys).unwrap(),
        branding: setup.branding.clone(),
        callers: Callers {
            limits: setup.limits,
            proxies: setup.proxies.clone(),
            cors_origins: setup.cors_origins.clone(),
        },
        keep: Keep {
            messages: None,
            invitations: None,
            audit: None,
        },
        delivery: Delivery {
            connections: 4,
            probe_every: std::time::Duration::from_secs(2),
            rate: setup.mail_rate,
            mails_a_day: setup.mails_a_day,
        },
        audit_heads: None,
    }
}

/// A key of this role, made as the command line makes it.
pub fn api_key(db: &TestDb, role: Role) -> String {
    api_key_of(db, role, KEYS)
}

/// The same, where the service has other keys.
fn api_key_of(db: &TestDb, role: Role, keys: &str) -> String {
    let keys = Arc::new(KeyRing::parse(keys).unwrap());
    let trail = Trail::shell(Clock::fixed(start_of_time()), Some(keys));
    let name = KeyName::parse("test").unwrap();
    manage_keys::make(&mut db.connect(), &trail, name, role, None)
        .unwrap()
        .key
}

impl TestApp {
    pub async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    pub async fn start_with(setup: Setup) -> Self {
        Self::start_on(TestDb::migrated(), SmtpSink::start(), setup).await
    }

    pub async fn start_on(db: TestDb, sink: SmtpSink, setup: Setup) -> Self {
        let key = api_key_of(&db, Role::Admin, &setup.keys);
        let app = App::build(config(&db, &sink, &setup), setup.clock.clone())
            .await
            .unwrap();
        let (base, worker, stopper) = (
            format!("http://127.0.0.1:{}", app.port()),
            app.worker().clone(),
            app.stopper(),
        );
        Self {
            db,
            sink,
            clock: setup.clock,
            worker,
            key,
            base,
            client: super::http_client()
                .redirect(reqwest::redirect::Policy::none())
                .build()
                .unwrap(),
            stopper,
            running: tokio::spawn(app.run()),
            leaves_unsent: false,
        }
    }

    /// A request without a key.
    pub fn anonymous(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// A request with the admin's key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.anonymous(method, path).bearer_auth(&self.key)
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, body).await
    }

    pub async fn send(&self, method: Method, path: &str, body: Value) -> Answer {
        Answer::of(self.request(method, path).json(&body).send().await.unwrap()).await
    }

    /// Creates a user and gives the id.
    pub async fn user(&self, body: Value) -> String {
        let answer = self.post("/users", body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        answer.json["id"].as_str().unwrap().to_owned()
    }

    /// Creates `user1@example.com` and so on.
    pub async fn users(&self, count: usize) -> Vec<String> {
        let mut ids = Vec::new();
        for number in 1..=count {
            ids.push(
                self.user(json!({"email": format!("user{number}@example.com")}))
                    .await,
            );
        }
        ids
    }

    /// Sends invitations and gives the answer.
    pub async fn invite(&self, body: Value) -> Value {
        let answer = self.post("/invitations/send", body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
        answer.json
    }

    /// Changes fields of a default setting.
    pub async fn set_default(&self, kind: &str, change: Value) {
        let path = format!("/settings/{kind}/default");
        let mut body = self.get(&path).await.json;
        for (field, value) in change.as_object().unwrap() {
            body[field] = value.clone();
        }
        let answer = self.send(Method::PUT, &path, body).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }

    /// The same service started anew, with these keys.
    pub async fn restart_with_keys(&mut self, keys: &str) {
        let setup = Setup {
            keys: keys.to_owned(),
            clock: self.clock.clone(),
            ..Setup::default()
        };
        self.restart_with(setup).await;
    }

    /// The same service started anew, set up like this.
    pub async fn restart_with(&mut self, setup: Setup) {
        self.stop().await;
        let app = App::build(config(&self.db, &self.sink, &setup), setup.clock)
            .await
            .unwrap();
        self.base = format!("http://127.0.0.1:{}", app.port());
        self.worker = app.worker().clone();
        self.stopper = app.stopper();
        self.running = tokio::spawn(app.run());
    }

    /// Stops the app as SIGTERM does and waits for it.
    pub async fn stop(&mut self) {
        self.stopper.stop().await;
        (&mut self.running).await.unwrap().unwrap();
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.running.abort();
        if !std::thread::panicking() && !self.leaves_unsent {
            let unsent = self.db.number(
                "SELECT count(*) FROM messages WHERE state IN ('queued', 'sending', 'deferred')",
            );
            assert_eq!(unsent, 0, "the test left messages in the outbox");
        }
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    /// `Null` if the body is no JSON.
    pub json: Value,
}

impl Answer {
    pub async fn of(response: Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let text = String::from_utf8_lossy(&response.bytes().await.unwrap()).into_owned();
        Self {
            status,
            headers,
            json: serde_json::from_str(&text).unwrap_or(Value::Null),
            text,
        }
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts a problem of this status and code, in the one envelope of all errors.
    #[track_caller]
    pub fn is_problem(&self, status: u16, code: &str) -> &Self {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.json["code"], code, "{}", self.text);
        assert_eq!(self.json["type"], format!("urn:enlist:problem:{code}"));
        assert_eq!(self.json["status"], status);
        assert_eq!(self.json["request_id"], self.header("x-request-id"));
        assert!(
            self.json["detail"]
                .as_str()
                .is_some_and(|detail| !detail.is_empty())
        );
        self
    }

    /// The pointers of a problem's faults, sorted.
    pub fn pointers(&self) -> Vec<&str> {
        let errors = self.json["errors"].as_array().expect("errors");
        let mut pointers: Vec<&str> = errors
            .iter()
            .map(|e| e["pointer"].as_str().unwrap())
            .collect();
        pointers.sort_unstable();
        pointers
    }
}
