//! Whether the service would start and work with these settings: it looks, and changes and sends nothing.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret, SecretString};

use super::{
    addresses,
    check_role::{Roles, role},
    findings::Findings,
    keys::look_at_keys,
    outgoing,
};
use crate::{
    clock::Clock,
    config::{
        AUDIT_HEADS, ConfigErrors, DATABASE_URL, Http, MIGRATE_URL, Mail, Names, Sections,
        most_open,
    },
    db::{Db, DbError, Schema, unfit_pooler},
    mail::smtp::Passed,
    secrets::keys::KeyRing,
    trials::LIMIT,
    users::name_keys,
};

pub use super::findings::{Finding, Verdict};

/// What is looked at.
pub struct Check {
    /// What can be used of the settings.
    pub settings: Sections,
    /// What cannot.
    pub wrong: ConfigErrors,
    /// Whether a start applies pending migrations.
    pub migrates: bool,
    /// What is odd about the names of variables.
    pub names: Names,
    /// What to know of the embedded database, where that is used,
    pub embedded: Option<String>,
    /// and whether it is not running.
    pub is_asleep: bool,
    /// The file that the ends of the audit log's chain are told to.
    pub audit_heads: Option<PathBuf>,
}

impl Check {
    /// Looks at everything, and tells what it finds.
    pub async fn run(&self, clock: &Clock, told: &mut dyn FnMut(Finding)) {
        let mut found = Findings { about: "", told };
        self.configuration(found.about("configuration"));
        if let Some(path) = &self.audit_heads {
            heads_file(path, found.about("audit heads"));
        }
        if let Some((db, roles)) = self.database(found.about("database")).await
            && role(&db, &roles, found.about("role")).await
        {
            if let Some(keys) = &self.settings.keys {
                look_at(keys, &db, clock, found.about("keys")).await;
            }
            names(&db, found.about("users")).await;
        }
        if let Some(mail) = &self.settings.mail {
            server(mail, clock, found.about("mail server")).await;
            sender(mail, found.about("sender"));
            if let Some(http) = &self.settings.http {
                links(http, mail, found.about("links"));
            }
        }
    }

    fn configuration(&self, found: &mut Findings<'_>) {
        let mistyped = self.names.mistyped.iter().cloned();
        let failed: Vec<String> = mistyped.chain(self.wrong.lines()).collect();
        let of_mail = self.settings.mail.iter().flat_map(|mail| &mail.warnings);
        let warnings: Vec<&String> = self.names.unknown.iter().chain(of_mail).collect();
        let is_well = failed.is_empty() && warnings.is_empty();
        for line in failed {
            found.say(Verdict::Failed, line);
        }
        for warning in warnings {
            found.say(Verdict::Warning, warning);
        }
        if is_well {
            found.say(Verdict::Ok, "every setting can be used");
        }
    }

    /// The database, where it can be asked and has the tables of this version; and what is known of the roles.
    async fn database(&self, found: &mut Findings<'_>) -> Option<(Db, Roles)> {
        if let Some(warning) = &self.embedded {
            found.say(Verdict::Warning, warning);
        }
        if self.is_asleep {
            found.say(
                Verdict::Warning,
                "the embedded one is not running, and was not looked at; `enlist serve` starts it",
            );
            return None;
        }
        let urls = self.settings.database.as_ref()?;
        let mut schemas = Vec::new();
        let way = |variable, url: &SecretString| (variable, url.expose_secret().to_owned());
        let owner = urls.owner.as_ref().map(|url| way(MIGRATE_URL, url));
        let ways = [way(DATABASE_URL, &urls.service)].into_iter().chain(owner);
        for (variable, url) in ways {
            let looked = match pooler(url.clone()).await {
                Some(problem) => Err(problem),
                None => Db::new(&url, 1)
                    .schema()
                    .await
                    .map_err(|error| error.to_string()),
            };
            match looked {
                Ok(schema) => schemas.push(schema),
                Err(problem) => {
                    found.say(Verdict::Failed, format!("{variable}: {problem}"));
                    return None;
                }
            }
        }
        let (schema, by) = (schemas.first()?, schemas.get(1));
        let (verdict, text) = told_of(schema, by, self.migrates);
        found.say(verdict, text);
        let db = Db::new(urls.service.expose_secret(), 1);
        if let Some(used) = self.settings.database_connections {
            found.say(Verdict::Ok, connections(used));
            if let Ok(Some(warning)) = too_few_connections(&db, used).await {
                found.say(Verdict::Warning, warning);
            }
        }
        if let Ok(Some(locale)) = db.foreign_language().await {
            found.say(Verdict::Warning, foreign(&locale));
        }
        let roles = Roles {
            are_two: by.is_some(),
            will_grant: self.migrates && by.is_some_and(|by| by.is_owner),
            is_embedded: self.embedded.is_some(),
        };
        let changer = by.unwrap_or(schema);
        let is_usable = schema.database == changer.database
            && changer.refusal().is_none()
            && changer.pending.is_empty();
        is_usable.then_some((db, roles))
    }
}

/// What of the way does not fit, which a pooler may make longer.
async fn pooler(url: String) -> Option<String> {
    match tokio::task::spawn_blocking(move || unfit_pooler(&url)).await {
        Ok(Ok(problem)) => problem,
        Ok(Err(problem)) => Some(problem),
        Err(error) => Some(error.to_string()),
    }
}

/// How many connections an instance takes.
fn connections(used: u32) -> String {
    format!(
        "an instance uses up to {used} connections at once (ENLIST_DATABASE_CONNECTIONS), and holds up to {} open",
        most_open(used)
    )
}

/// What to know where the server has no room for what an instance may hold open.
pub(super) async fn too_few_connections(db: &Db, used: u32) -> Result<Option<String>, DbError> {
    let (needed, most) = (most_open(used), db.most_connections().await?);
    Ok((needed > most).then(|| {
        format!(
            "an instance may hold {needed} connections open, and the database allows {most} in all: lower \
             ENLIST_DATABASE_CONNECTIONS, or raise `max_connections`, or the limit of the role or the database"
        )
    }))
}

/// Whether the file can be written, without making it.
fn heads_file(path: &Path, found: &mut Findings<'_>) {
    let tried = if path.exists() {
        OpenOptions::new().append(true).open(path).map(drop)
    } else {
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        // Without a name, and gone with its handle.
        tempfile::tempfile_in(folder.unwrap_or(Path::new("."))).map(drop)
    };
    match tried {
        Ok(()) => found.say(Verdict::Ok, format!("{} can be written", path.display())),
        Err(error) => found.say(
            Verdict::Failed,
            format!("{AUDIT_HEADS}: cannot write {}: {error}", path.display()),
        ),
    }
}

/// How the schema is, as the service sees it; `by` is who changes it, where that is another role.
fn told_of(schema: &Schema, by: Option<&Schema>, migrates: bool) -> (Verdict, String) {
    let changer = by.unwrap_or(schema);
    let found = format!("Postgres {}, role {}", schema.server, schema.role);
    if schema.database != changer.database {
        let text = format!("{found}; {MIGRATE_URL} leads to another database than {DATABASE_URL}");
        return (Verdict::Failed, text);
    }
    let owner = match (by, changer.is_owner) {
        (None, true) => "which may change the schema".to_owned(),
        (None, false) => "which may not change the schema: migrations need its owner".to_owned(),
        (Some(by), true) => format!("and {}, which may change the schema", by.role),
        (Some(by), false) => {
            let remedy = if schema.is_owner {
                "the two are swapped".to_owned()
            } else {
                format!("name its owner in {MIGRATE_URL}")
            };
            let text = format!(
                "{found}, and {} in {MIGRATE_URL}, which may not change the schema: {remedy}",
                by.role
            );
            return (Verdict::Failed, text);
        }
    };
    if let Some(refusal) = changer.refusal() {
        return (Verdict::Failed, format!("{found}; {refusal}"));
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
        Ok(older) => {
            let signing = keys.signing().id();
            found.say(
                Verdict::Ok,
                format!(
                    "those that pending invitations and sealed settings need are there; `{signing}` makes what is new"
                ),
            );
            for (id, what) in older.needed {
                found.say(Verdict::Ok, format!("`{id}` is needed still: {what}"));
            }
            for id in older.idle {
                found.say(
                    Verdict::Warning,
                    format!(
                        "no pending invitation needs `{id}` any more, and nothing is sealed under it: it can go from \
                         ENLIST_SECRET_KEYS, where reports on mails of before (five days) no longer matter; keep it elsewhere for \
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
    match addresses::of_sender(mail) {
        Some(warning) => found.say(Verdict::Warning, warning),
        None => found.say(Verdict::Ok, mail.from.email.to_string()),
    }
}

fn links(http: &Http, mail: &Mail, found: &mut Findings<'_>) {
    let public_url = addresses::public_url(http, http.listen.port());
    match addresses::of_links(http, mail, &public_url) {
        Some(warning) => found.say(Verdict::Warning, warning),
        None => found.say(Verdict::Ok, format!("{public_url}/enroll")),
    }
}
