//! Whether the service would start and work with these settings: it looks, and changes and sends nothing.

use std::fmt;

use secrecy::ExposeSecret;

use super::{addresses, keys::look_at_keys, outgoing};
use crate::{
    clock::Clock,
    config::{ConfigErrors, DATABASE_URL, Http, MIGRATE_URL, Mail, Sections},
    db::{Db, Powers, Schema},
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
        if let Some((db, will_grant)) = self.database(found.about("database")).await
            && role(&db, will_grant, found.about("role")).await
        {
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

    /// The database, where it can be asked and has the tables of this version; and whether the next start grants what
    /// is missing.
    async fn database(&self, found: &mut Findings<'_>) -> Option<(Db, bool)> {
        if self.is_asleep {
            found.say(
                Verdict::Warning,
                "the embedded one is not running, and was not looked at; `enlist serve` starts it",
            );
            return None;
        }
        let urls = self.settings.database.as_ref()?;
        let mut schemas = Vec::new();
        let service = Db::new(urls.service.expose_secret(), 1);
        let owner = urls
            .owner
            .as_ref()
            .map(|url| Db::new(url.expose_secret(), 1));
        for (variable, db) in [
            (DATABASE_URL, Some(&service)),
            (MIGRATE_URL, owner.as_ref()),
        ] {
            let Some(db) = db else { continue };
            match db.schema().await {
                Ok(schema) => schemas.push(schema),
                Err(error) => {
                    found.say(
                        Verdict::Failed,
                        format!("{error}; check {variable}, and whether Postgres runs and lets this machine in"),
                    );
                    return None;
                }
            }
        }
        let (schema, by) = (schemas.first()?, schemas.get(1));
        let (verdict, text) = told_of(schema, by, self.migrates);
        found.say(verdict, text);
        let db = service;
        if let Ok(Some(locale)) = db.foreign_language().await {
            found.say(Verdict::Warning, foreign(&locale));
        }
        let will_grant = self.migrates && by.is_some_and(|by| by.is_owner);
        let changer = by.unwrap_or(schema);
        let is_usable = schema.database == changer.database
            && changer.refusal().is_none()
            && changer.pending.is_empty();
        is_usable.then_some((db, will_grant))
    }
}

/// How the schema is, as the service sees it; `by` is who changes it, where that is another role.
fn told_of(schema: &Schema, by: Option<&Schema>, migrates: bool) -> (Verdict, String) {
    let changer = by.unwrap_or(schema);
    let found = format!("Postgres {}, role {}", schema.server, schema.role);
    let owner = match (by, changer.is_owner) {
        (None, true) => "which may change the schema".to_owned(),
        (None, false) => "which may not change the schema: migrations need its owner".to_owned(),
        (Some(by), true) => format!("and {}, which may change the schema", by.role),
        (Some(by), false) => format!(
            "and {} in {MIGRATE_URL}, which may not change the schema: migrations need its owner",
            by.role
        ),
    };
    if schema.database != changer.database {
        let text = format!("{found}; {MIGRATE_URL} leads to another database than {DATABASE_URL}");
        return (Verdict::Failed, text);
    }
    if let Some(refusal) = changer.refusal() {
        return (Verdict::Failed, format!("{found}, {owner}; {refusal}"));
    }
    let pending = match changer.pending.len() {
        0 if changer.is_newer => {
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
    if migrates {
        (
            Verdict::Warning,
            format!("{found}, {owner}; {pending}, which the next start applies"),
        )
    } else {
        (
            Verdict::Failed,
            format!(
                "{found}, {owner}; {pending}: run `enlist migrate`, since --no-migrate is given"
            ),
        )
    }
}

/// Says whether the service's role may do what the service needs, and no more. Gives whether nothing is missing.
async fn role(db: &Db, will_grant: bool, found: &mut Findings<'_>) -> bool {
    let (missing, excess) = match db.powers().await {
        Err(error) => {
            found.say(Verdict::Failed, error.to_string());
            return false;
        }
        Ok(Powers::Owner) => {
            found.say(
                Verdict::Ok,
                "it owns the tables: whoever takes the service over may rewrite them, the audit log too; `enlist database \
                 roles` prints the SQL for a lesser one",
            );
            return true;
        }
        Ok(Powers::Lesser { missing, excess }) => (missing, excess),
    };
    if !excess.is_empty() {
        found.say(
            Verdict::Warning,
            format!(
                "it may {}, which the service does not need: have a superuser run what `enlist database roles` prints, then \
                 run `enlist migrate`",
                listed(&excess)
            ),
        );
    }
    if !missing.is_empty() {
        let listed = listed(&missing);
        let (verdict, text) = if will_grant {
            (
                Verdict::Warning,
                format!("it may not {listed} yet; the next start grants it"),
            )
        } else {
            (
                Verdict::Failed,
                format!(
                    "it may not {listed}: run `enlist migrate` with this role in {DATABASE_URL} and the owner in {MIGRATE_URL}"
                ),
            )
        };
        found.say(verdict, text);
    } else if excess.is_empty() {
        found.say(
            Verdict::Ok,
            "it owns nothing, and may do what the service needs and no more",
        );
    }
    missing.is_empty()
}

/// The first few of many.
fn listed(all: &[String]) -> String {
    const SHOWN: usize = 8;
    let shown = all[..all.len().min(SHOWN)].join(", ");
    match all.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
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
                    "those that pending invitations and sealed settings need are there; `{signing}` makes what is new"
                ),
            );
            for id in idle {
                found.say(
                    Verdict::Warning,
                    format!(
                        "no pending invitation needs `{id}` any more, and nothing is sealed under it: it can go from \
                         ENLIST_SECRET_KEYS; keep it elsewhere for `enlist audit verify`"
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
