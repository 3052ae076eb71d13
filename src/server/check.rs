//! Whether the service would start and work with these settings: it looks, and changes and sends nothing.

use std::fmt;

use secrecy::ExposeSecret;

use super::{addresses, keys::look_at_keys, outgoing};
use crate::{
    clock::Clock,
    config::{ConfigErrors, Http, Mail, Sections},
    db::{Db, Schema},
    mail::smtp::Passed,
    secrets::keys::KeyRing,
    trials::LIMIT,
    users::name_keys,
};

/// How it stands with something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Ok,
    /// It works, and something should be known or done.
    Warning,
    /// It does not work.
    Failed,
}

/// What was looked at, and what was found. `Display` is one line.
#[derive(Debug, PartialEq, Eq)]
pub struct Finding {
    pub verdict: Verdict,
    about: &'static str,
    text: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warning => "warning",
            Verdict::Failed => "FAILED",
        };
        write!(f, "{verdict:<7}  {}: {}", self.about, self.text)
    }
}

/// Says what is found of one thing after the other.
struct Findings<'a> {
    about: &'static str,
    told: &'a mut dyn FnMut(Finding),
}

impl Findings<'_> {
    fn about(&mut self, about: &'static str) -> &mut Self {
        self.about = about;
        self
    }

    fn say(&mut self, verdict: Verdict, text: impl Into<String>) {
        (self.told)(Finding {
            verdict,
            about: self.about,
            text: text.into(),
        });
    }
}

/// What is looked at.
pub struct Check {
    /// What can be used of the settings.
    pub settings: Sections,
    /// What cannot.
    pub wrong: ConfigErrors,
    /// Whether a start applies pending migrations.
    pub migrates: bool,
    /// Whether the database is the embedded one, and is not running.
    pub is_asleep: bool,
}

impl Check {
    /// Looks at everything, and tells what it finds.
    pub async fn run(&self, clock: &Clock, told: &mut dyn FnMut(Finding)) {
        let mut found = Findings { about: "", told };
        self.configuration(found.about("configuration"));
        if let Some(db) = self.database(found.about("database")).await {
            if let Some(keys) = &self.settings.keys {
                look_at(keys, &db, clock, found.about("keys")).await;
            }
            names(&db, found.about("users")).await;
        }
        if let Some(mail) = &self.settings.mail {
            server(mail, clock, found.about("mail server")).await;
            if !mail.smtp.is_loopback() {
                sender(mail, found.about("sender"));
                if let Some(http) = &self.settings.http {
                    links(http, found.about("links"));
                }
            }
        }
    }

    fn configuration(&self, found: &mut Findings<'_>) {
        for line in self.wrong.lines() {
            found.say(Verdict::Failed, line);
        }
        let warnings = self.settings.mail.iter().flat_map(|mail| &mail.warnings);
        for warning in warnings.clone() {
            found.say(Verdict::Warning, warning);
        }
        if self.wrong.is_empty() && warnings.count() == 0 {
            found.say(Verdict::Ok, "every setting can be used");
        }
    }

    /// The database, where it can be asked and has the tables of this version.
    async fn database(&self, found: &mut Findings<'_>) -> Option<Db> {
        if self.is_asleep {
            found.say(
                Verdict::Warning,
                "the embedded one is not running, and was not looked at; `enlist serve` starts it",
            );
            return None;
        }
        let db = Db::new(self.settings.database_url.as_ref()?.expose_secret(), 1);
        let schema = match db.schema().await {
            Ok(schema) => schema,
            Err(error) => {
                found.say(
                    Verdict::Failed,
                    format!("{error}; check DATABASE_URL, and whether Postgres runs and lets this machine in"),
                );
                return None;
            }
        };
        let (verdict, text) = told_of(&schema, self.migrates);
        found.say(verdict, text);
        if let Ok(Some(locale)) = db.foreign_language().await {
            found.say(Verdict::Warning, foreign(&locale));
        }
        schema.pending.is_empty().then_some(db)
    }
}

fn told_of(schema: &Schema, migrates: bool) -> (Verdict, String) {
    let role = &schema.role;
    let found = format!("Postgres {}, role {role}", schema.server);
    let owner = if schema.is_owner {
        "which may change the schema"
    } else {
        "which may not change the schema: migrations need its owner"
    };
    let pending = match schema.pending.len() {
        0 if schema.is_newer => {
            return (
                Verdict::Warning,
                format!(
                    "{found}, {owner}; the schema is newer than this version, whose update was perhaps forgotten here"
                ),
            );
        }
        0 => {
            return (
                Verdict::Ok,
                format!("{found}, {owner}; the schema is up to date"),
            );
        }
        1 => "one migration is pending".to_owned(),
        number => format!("{number} migrations are pending"),
    };
    match (schema.is_owner, migrates) {
        (true, true) => (
            Verdict::Warning,
            format!("{found}, {owner}; {pending}, which the next start applies"),
        ),
        (true, false) => (
            Verdict::Failed,
            format!(
                "{found}, {owner}; {pending}: run `enlist migrate`, since --no-migrate is given"
            ),
        ),
        (false, _) => (
            Verdict::Failed,
            format!("{found}, {owner}; {pending}: run `enlist migrate` as the owner"),
        ),
    }
}

/// What is said of a database that does not speak English.
pub fn foreign(locale: &str) -> String {
    format!(
        "the database speaks a language ({locale}) in which a lock that took too long is not recognised; have a superuser \
         run: ALTER ROLE <the role of DATABASE_URL> SET lc_messages = 'C'"
    )
}

async fn look_at(keys: &KeyRing, db: &Db, clock: &Clock, found: &mut Findings<'_>) {
    match look_at_keys(db, keys, clock.now()).await {
        Err(error) => found.say(Verdict::Failed, error.to_string()),
        Ok(idle) => {
            let signing = keys.signing().id();
            found.say(
                Verdict::Ok,
                format!(
                    "those that pending invitations need are there; `{signing}` makes what is new"
                ),
            );
            for id in idle {
                found.say(
                    Verdict::Warning,
                    format!(
                        "no pending invitation needs `{id}` any more: it can go from ENLIST_SECRET_KEYS; keep it elsewhere for \
                         `enlist audit verify`"
                    ),
                );
            }
        }
    }
}

async fn names(db: &Db, found: &mut Findings<'_>) {
    let (verdict, text) = match name_keys::clashing(db).await {
        Err(error) => (Verdict::Failed, error.to_string()),
        Ok(0) => (Verdict::Ok, "each name is one user's".to_owned()),
        Ok(clashing) => (
            Verdict::Warning,
            format!(
                "{clashing} with a name that an older user has, who are not found by it when enrolling: GET \
                 /users?name_clash=true lists them; give them other names"
            ),
        ),
    };
    found.say(verdict, text);
}

async fn server(mail: &Mail, clock: &Clock, found: &mut Findings<'_>) {
    let pool = match outgoing::pool(mail, 1, clock) {
        Ok(pool) => pool,
        Err(error) => return found.say(Verdict::Failed, error.to_string()),
    };
    let mut passed: Vec<Passed> = Vec::new();
    let probed = pool.probe(LIMIT, &mut |stage| passed.push(stage)).await;
    match probed {
        Ok(()) => {
            let begin = passed
                .iter()
                .rposition(|of| matches!(of, Passed::Connected(_)));
            let stages = passed[begin.unwrap_or(0)..].iter().map(Passed::to_string);
            found.say(Verdict::Ok, stages.collect::<Vec<_>>().join("; "));
        }
        Err(failure) => found.say(
            Verdict::Failed,
            format!("{}; what to do: {}", failure.shown(), failure.remedy),
        ),
    }
}

fn sender(mail: &Mail, found: &mut Findings<'_>) {
    match addresses::local_sender(mail.from.email.domain()) {
        Some(warning) => found.say(Verdict::Warning, warning),
        None => found.say(Verdict::Ok, mail.from.email.to_string()),
    }
}

fn links(http: &Http, found: &mut Findings<'_>) {
    let public_url = addresses::public_url(http, http.listen.port());
    match addresses::local_url(&public_url) {
        Some(warning) => found.say(Verdict::Warning, warning),
        None => found.say(Verdict::Ok, format!("{public_url}/enroll")),
    }
}
