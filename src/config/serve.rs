//! What `enlist serve` can be told: all sections together.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::{
    audit::AuditArgs,
    callers::{CallerArgs, Callers},
    database::{DatabaseArgs, DatabaseUrls, OwnerArgs, PoolArgs},
    delivery::{Delivery, DeliveryArgs},
    errors::ConfigErrors,
    http::{Http, HttpArgs},
    keys::KeyArgs,
    logging::LogArgs,
    mail::{Mail, MailArgs},
    organisation::OrganisationArgs,
    retention::RetentionArgs,
};
use crate::{mail::branding::Branding, retention::Keep, secrets::keys::KeyRing};

/// What this instance does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum InstanceRole {
    /// Answers requests and delivers mail
    All,
    /// Answers requests only
    Api,
    /// Delivers mail only (and answers /healthz, /readyz and /metrics)
    Worker,
}

/// What `serve` takes. Most of it is text here; [`ServeArgs::check`] makes a [`Config`] of it and names every variable
/// that is wrong.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Where the database is.
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// Who changes the schema.
    #[command(flatten)]
    pub owner: OwnerArgs,
    /// How many connections there are to it.
    #[command(flatten)]
    pub pool: PoolArgs,
    /// How to log.
    #[command(flatten)]
    pub logging: LogArgs,
    /// What this instance does
    #[arg(long, default_value = "all")]
    pub role: InstanceRole,
    /// Do not apply pending migrations before serving
    #[arg(long)]
    pub no_migrate: bool,
    /// Where the service is found.
    #[command(flatten)]
    pub http: HttpArgs,
    /// Through which server mails go, and who they are from.
    #[command(flatten)]
    pub mail: MailArgs,
    /// The service's keys.
    #[command(flatten)]
    pub keys: KeyArgs,
    /// What mails and pages say about the organisation.
    #[command(flatten)]
    pub organisation: OrganisationArgs,
    /// Limits, proxies and frontends.
    #[command(flatten)]
    pub callers: CallerArgs,
    /// How long things are kept.
    #[command(flatten)]
    pub retention: RetentionArgs,
    /// How fast mails go out.
    #[command(flatten)]
    pub delivery: DeliveryArgs,
    /// Where the ends of the audit log's chain are told.
    #[command(flatten)]
    pub audit: AuditArgs,
}

/// Everything `serve` needs to know, checked.
pub struct Config {
    /// The database's URLs.
    pub database: DatabaseUrls,
    /// Connections to it that are used at once.
    pub database_connections: u32,
    /// What this instance does.
    pub role: InstanceRole,
    /// Whether pending migrations are applied before serving.
    pub migrate: bool,
    /// Where the service is found.
    pub http: Http,
    /// Through which server mails go, and who they are from.
    pub mail: Mail,
    /// The service's keys.
    pub keys: KeyRing,
    /// What mails and pages say about the organisation.
    pub branding: Branding,
    /// Limits, proxies and frontends.
    pub callers: Callers,
    /// How long things are kept.
    pub keep: Keep,
    /// How fast mails go out.
    pub delivery: Delivery,
    /// The file that the ends of the audit log's chain are told to.
    pub audit_heads: Option<PathBuf>,
}

/// The sections, each by itself: `None` where a setting of it is wrong.
pub struct Sections {
    /// The database's URLs.
    pub database: Option<DatabaseUrls>,
    /// Connections to it that are used at once.
    pub database_connections: Option<u32>,
    /// Where the service is found.
    pub http: Option<Http>,
    /// Through which server mails go, and who they are from.
    pub mail: Option<Mail>,
    /// The service's keys.
    pub keys: Option<KeyRing>,
    branding: Option<Branding>,
    callers: Option<Callers>,
    keep: Option<Keep>,
    delivery: Option<Delivery>,
}

impl ServeArgs {
    /// Checks every setting. Gives what can be used, and all that are wrong.
    pub fn sections(&self) -> (Sections, ConfigErrors) {
        let mut wrong = ConfigErrors::default();
        self.logging.check(&mut wrong);
        let sections = Sections {
            database: self.owner.check(&self.database, &mut wrong),
            database_connections: self.pool.check(&mut wrong),
            http: self.http.check(&mut wrong),
            mail: self.mail.check(&self.organisation.org_name, &mut wrong),
            keys: self.keys.check(&mut wrong),
            branding: self.organisation.check(&mut wrong),
            callers: self.callers.check(&mut wrong),
            keep: self.retention.check(&mut wrong),
            delivery: self.delivery.check(&mut wrong),
        };
        (sections, wrong)
    }

    /// Checks every setting.
    ///
    /// # Errors
    /// All that are wrong, each with its variable's name. Secrets are never shown.
    pub fn check(&self) -> Result<Config, ConfigErrors> {
        let (of, wrong) = self.sections();
        // A section that is missing has said why.
        let config = || {
            Some(Config {
                database: of.database?,
                database_connections: of.database_connections?,
                role: self.role,
                migrate: !self.no_migrate,
                http: of.http?,
                mail: of.mail?,
                keys: of.keys?,
                branding: of.branding?,
                callers: of.callers?,
                keep: of.keep?,
                delivery: of.delivery?,
                audit_heads: self.audit.audit_heads.clone(),
            })
        };
        config().ok_or(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn check(flags: &[&str]) -> Result<Config, ConfigErrors> {
        let base = [
            "enlist",
            "--database-url=postgres://localhost/x",
            "--smtp-url=smtp://127.0.0.1:1025",
            "--secret-keys=k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        ];
        // A later flag replaces an earlier one only when clap is told so; filter instead.
        let kept = base.iter().filter(|given| {
            let name = given.split('=').next().unwrap_or_default();
            !flags
                .iter()
                .any(|flag| flag.split('=').next() == Some(name))
        });
        Cli::try_parse_from(kept.chain(flags))
            .unwrap()
            .serve
            .check()
    }

    #[test]
    fn a_good_configuration_is_taken() {
        let config = check(&[
            "--public-url=https://e.example.com/base/",
            "--cors-origins=https://a.example,http://localhost:5173",
            "--trusted-proxies=10.0.0.5, 2001:db8::/32",
        ])
        .unwrap();
        assert_eq!(
            config.http.public_url.as_deref(),
            Some("https://e.example.com/base")
        );
        assert_eq!(config.callers.cors_origins.len(), 2);
        assert_eq!(config.callers.proxies.trusted.len(), 2);
        assert_eq!(config.delivery.connections, 8);
    }

    #[test]
    fn debug_shows_no_secret() {
        let given = Cli::try_parse_from([
            "enlist",
            "--database-url=postgres://u:M4RK@localhost/x",
            "--smtp-url=smtp://u:M4RK@127.0.0.1:1025",
            "--secret-keys=k1:M4RKAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "--smtp-oauth-client-secret=M4RK",
            "--smtp-oauth-refresh-token=M4RK",
        ])
        .unwrap();
        let shown = format!("{:?}", given.serve);
        assert!(shown.contains("smtp_url"), "{shown}");
        assert!(!shown.contains("M4RK"), "{shown}");
    }

    #[test]
    fn every_bad_setting_is_named_at_once() {
        let told = check(&[
            "--listen=nowhere",
            "--public-url=ftp://x",
            "--mail-from=nobody",
            "--secret-keys=k1:AAAA",
            "--support=call me",
            "--logo=/does/not/exist.png",
            "--cors-origins=https://a.example/",
            "--log=info,warning",
            "--mail-connections=0",
            "--mail-rate=fast",
            "--mail-per-user-day=0",
            "--limit-client=0",
            "--keep-messages=0",
            "--keep-invitations=29",
            "--limit-key=many",
            "--limit-secrets=-1",
            "--trusted-proxies=10.0.0.1,10.0.0.0/33",
            "--smtp-url=gopher://x",
            "--migrate-url=mysql://x",
        ])
        .err()
        .unwrap()
        .to_string();
        for variable in [
            "ENLIST_LISTEN",
            "ENLIST_PUBLIC_URL",
            "ENLIST_MAIL_FROM",
            "ENLIST_SECRET_KEYS",
            "ENLIST_SUPPORT",
            "ENLIST_LOGO",
            "ENLIST_CORS_ORIGINS",
            "ENLIST_LOG ",
            "ENLIST_MAIL_CONNECTIONS",
            "ENLIST_MAIL_RATE",
            "ENLIST_MAIL_PER_USER_DAY",
            "ENLIST_LIMIT_CLIENT",
            "ENLIST_KEEP_MESSAGES",
            "ENLIST_KEEP_INVITATIONS",
            "ENLIST_LIMIT_KEY",
            "ENLIST_LIMIT_SECRETS",
            "ENLIST_TRUSTED_PROXIES",
            "ENLIST_SMTP_URL",
            "ENLIST_MIGRATE_URL",
        ] {
            assert!(told.contains(variable), "{variable} is missing in:\n{told}");
        }
    }
}
