//! Every setting, once: an environment variable, a line of `.env` or a flag of the same name.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
};

use chrono::TimeDelta;
use clap::{Args, ValueEnum};
use ipnet::IpNet;
use lettre::{Address, message::Mailbox};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::{
    audit::chain::Head,
    http::{
        limits::Rates,
        proxies::{Proxies, ProxyHeader},
    },
    mail::{
        branding::{Branding, Logo},
        smtp::SmtpUrl,
    },
    retention::Keep,
    secrets::{keys::KeyRing, return_path},
};

/// A century, in days: more is for ever.
const MOST_DAYS: i64 = 36_500;
/// Days that an invitation can live (PRODUCT §3).
const LONGEST_INVITATION: i64 = 30;

/// Where the database is.
#[derive(Debug, Clone, Args)]
pub struct DatabaseArgs {
    /// Postgres, as a libpq URL (several hosts work): postgres://user:password@host/database
    /// [default: the embedded one under the data dir]
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<SecretString>,
    /// Where files of our own are kept
    #[arg(long, env = "ENLIST_DATA_DIR", default_value = ".enlist")]
    pub data_dir: PathBuf,
    /// Where the binaries of the embedded Postgres are [default: looked for]
    #[arg(long, env = "ENLIST_POSTGRES_BIN")]
    pub postgres_bin: Option<PathBuf>,
}

impl DatabaseArgs {
    /// Whether the embedded database is to be used.
    pub fn is_embedded(&self) -> bool {
        self.database_url
            .as_ref()
            .is_none_or(|url| url.expose_secret().is_empty())
    }

    /// The URL, checked.
    ///
    /// # Errors
    /// When it is missing or is none.
    pub fn url(&self) -> Result<&str, ConfigErrors> {
        let refused = |problem| ConfigErrors(vec![ConfigError::new("DATABASE_URL", problem)]);
        let url = self
            .database_url
            .as_ref()
            .map(ExposeSecret::expose_secret)
            .filter(|url| !url.is_empty())
            .ok_or_else(|| {
                refused("is not set; give the Postgres to use, as postgres://user:password@host/database")
            })?;
        // Checked in words of our own: libpq's would quote the URL, and the password in it.
        let is_url = url.starts_with("postgres://") || url.starts_with("postgresql://");
        let is_list = !url.contains("://") && url.contains('=');
        if !is_url && !is_list {
            return Err(refused(
                "does not begin with postgres:// (nor is it a list such as host=… dbname=…)",
            ));
        }
        let is_encoded = url.split('%').skip(1).all(|rest| {
            rest.get(..2)
                .is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_hexdigit()))
        });
        if is_url && !is_encoded {
            return Err(refused(
                "has a `%` that is not part of a percent-encoding; write %25 for it",
            ));
        }
        Ok(url)
    }
}

/// A database, and the keys that belong to it.
#[derive(Debug, Clone, Args)]
pub struct KeyedArgs {
    #[command(flatten)]
    pub database: DatabaseArgs,
    /// The service's keys, also those of before
    #[arg(long, env = "ENLIST_SECRET_KEYS", hide_env_values = true)]
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

/// What `dev` takes: everything else is arranged.
#[derive(Debug, Clone, Args)]
pub struct DevArgs {
    #[command(flatten)]
    pub logging: LogArgs,
    /// Where its files are kept: database, mails, keys
    #[arg(long, env = "ENLIST_DATA_DIR", default_value = ".enlist")]
    pub data_dir: PathBuf,
    /// Where the binaries of the embedded Postgres are [default: looked for]
    #[arg(long, env = "ENLIST_POSTGRES_BIN")]
    pub postgres_bin: Option<PathBuf>,
    /// Address and port to listen on, of this machine only
    #[arg(long, env = "ENLIST_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// The organisation's name, in every mail
    #[arg(long, env = "ENLIST_ORG_NAME", default_value = "Example Ltd")]
    pub org_name: String,
    /// Throw away what is there and begin anew
    #[arg(long)]
    pub fresh: bool,
}

impl DevArgs {
    /// The whole configuration, for a mail server and a database of our own.
    ///
    /// # Errors
    /// All settings that are wrong.
    pub fn check(
        &self,
        database_url: &str,
        smtp_url: &str,
        secret_keys: SecretString,
    ) -> Result<Config, ConfigErrors> {
        let config = ServeArgs {
            database: DatabaseArgs {
                database_url: Some(database_url.into()),
                data_dir: self.data_dir.clone(),
                postgres_bin: None,
            },
            logging: self.logging.clone(),
            role: InstanceRole::All,
            no_migrate: false,
            listen: self.listen.clone(),
            public_url: None,
            smtp_url: Some(smtp_url.into()),
            mail_from: None,
            mail_reply_to: None,
            mail_bounces: None,
            secret_keys: Some(secret_keys),
            org_name: self.org_name.clone(),
            logo: None,
            support: Some("help@example.com".to_owned()),
            limit_client: "50".to_owned(),
            limit_key: "200".to_owned(),
            limit_secrets: "1".to_owned(),
            trusted_proxies: String::new(),
            proxy_header: ProxyHeader::XForwardedFor,
            cors_origins: String::new(),
            keep_messages: "90".to_owned(),
            keep_invitations: "400".to_owned(),
            keep_audit: "forever".to_owned(),
            mail_connections: "8".to_owned(),
            mail_rate: None,
        }
        .check()?;
        if config.listen.ip().is_loopback() {
            Ok(config)
        } else {
            Err(ConfigErrors(vec![ConfigError::new(
                "ENLIST_LISTEN",
                "must be an address of this machine alone, such as 127.0.0.1:8080: `enlist dev` shows PINs",
            )]))
        }
    }
}

/// How to log.
#[derive(Debug, Clone, Args)]
pub struct LogArgs {
    /// What to log, as a filter: info, or warn,enlist=debug
    #[arg(long, env = "ENLIST_LOG", default_value = "info")]
    pub log: String,
    /// How to write it
    #[arg(long, env = "ENLIST_LOG_FORMAT", default_value = "human")]
    pub log_format: LogFormat,
}

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
}

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

/// What `serve` takes. Everything is text here; [`ServeArgs::check`] makes a [`Config`] of it and
/// names every variable that is wrong.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    pub database: DatabaseArgs,
    #[command(flatten)]
    pub logging: LogArgs,
    /// What this instance does
    #[arg(long, default_value = "all")]
    pub role: InstanceRole,
    /// Do not apply pending migrations before serving
    #[arg(long)]
    pub no_migrate: bool,
    /// Address and port to listen on
    #[arg(long, env = "ENLIST_LISTEN", default_value = "127.0.0.1:8080")]
    pub listen: String,
    /// Base of the links in mails [default: http://<listen>]
    #[arg(long, env = "ENLIST_PUBLIC_URL")]
    pub public_url: Option<String>,
    /// The mail server: smtp://user:password@host:587?tls=required, smtps://…, smtp://127.0.0.1:1025
    #[arg(long, env = "ENLIST_SMTP_URL", hide_env_values = true)]
    pub smtp_url: Option<SecretString>,
    /// Who mails are from: Example IT <it@example.com> [default: <org name> <enlist@localhost>]
    #[arg(long, env = "ENLIST_MAIL_FROM")]
    pub mail_from: Option<String>,
    /// Where answers to mails go
    #[arg(long, env = "ENLIST_MAIL_REPLY_TO")]
    pub mail_reply_to: Option<String>,
    /// Where mails come back to: bounces@example.com gets them as bounces+…@example.com [default: who they are from]
    #[arg(long, env = "ENLIST_MAIL_BOUNCES")]
    pub mail_bounces: Option<String>,
    /// Keys that PINs and QR tokens derive from: id:base64 of 32 bytes or more, comma-separated, the first one signs
    #[arg(long, env = "ENLIST_SECRET_KEYS", hide_env_values = true)]
    pub secret_keys: Option<SecretString>,
    /// The organisation's name, in every mail and page
    #[arg(long, env = "ENLIST_ORG_NAME", default_value = "Enlist")]
    pub org_name: String,
    /// A picture file with the organisation's logo: PNG, JPEG or GIF
    #[arg(long, env = "ENLIST_LOGO")]
    pub logo: Option<PathBuf>,
    /// Whom to ask for help: an e-mail address or a URL
    #[arg(long, env = "ENLIST_SUPPORT")]
    pub support: Option<String>,
    /// Requests a second for each client address
    #[arg(long, env = "ENLIST_LIMIT_CLIENT", default_value = "50")]
    pub limit_client: String,
    /// Requests a second for each API key or operator
    #[arg(long, env = "ENLIST_LIMIT_KEY", default_value = "200")]
    pub limit_key: String,
    /// Sign-ins and public enrollments a second for each address
    #[arg(long, env = "ENLIST_LIMIT_SECRETS", default_value = "1")]
    pub limit_secrets: String,
    /// Proxies in front, comma-separated: 10.0.0.5, 192.0.2.0/24. Who called them is read from the header that they write
    #[arg(long, env = "ENLIST_TRUSTED_PROXIES", default_value = "")]
    pub trusted_proxies: String,
    /// Where those proxies say who called
    #[arg(long, env = "ENLIST_PROXY_HEADER", default_value = "x-forwarded-for")]
    pub proxy_header: ProxyHeader,
    /// Origins of the frontend, comma-separated: https://admin.example.com
    #[arg(long, env = "ENLIST_CORS_ORIGINS", default_value = "")]
    pub cors_origins: String,
    /// Days after which what mail servers said about messages is forgotten, or forever
    #[arg(long, env = "ENLIST_KEEP_MESSAGES", default_value = "90")]
    pub keep_messages: String,
    /// Days after which batches of old invitations are forgotten, or forever
    #[arg(long, env = "ENLIST_KEEP_INVITATIONS", default_value = "400")]
    pub keep_invitations: String,
    /// Days after which audit events are forgotten, or forever
    #[arg(long, env = "ENLIST_KEEP_AUDIT", default_value = "forever")]
    pub keep_audit: String,
    /// SMTP connections of this instance
    #[arg(long, env = "ENLIST_MAIL_CONNECTIONS", default_value = "8")]
    pub mail_connections: String,
    /// Mails a second over all instances [default: no limit]
    #[arg(long, env = "ENLIST_MAIL_RATE")]
    pub mail_rate: Option<String>,
}

/// Everything `serve` needs to know, checked.
pub struct Config {
    pub database_url: SecretString,
    pub role: InstanceRole,
    pub migrate: bool,
    pub listen: SocketAddr,
    /// Without a slash at its end. `None`: `http://` and the address that is listened on.
    pub public_url: Option<String>,
    pub smtp: SmtpUrl,
    pub from: Mailbox,
    pub reply_to: Option<Mailbox>,
    /// Where mails come back to.
    pub bounces: Option<Address>,
    pub keys: KeyRing,
    pub branding: Branding,
    pub cors_origins: Vec<String>,
    pub limits: Rates,
    pub proxies: Proxies,
    pub keep: Keep,
    pub mail_connections: usize,
    /// Messages a second over all instances.
    pub mail_rate: Option<NonZeroU32>,
}

/// One setting that is wrong.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError {
    variable: &'static str,
    problem: String,
}

impl ConfigError {
    fn new(variable: &'static str, problem: impl Into<String>) -> Self {
        Self {
            variable,
            problem: problem.into(),
        }
    }
}

/// Every setting that is wrong: a start is refused once, not once a mistake.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigErrors(Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, error) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{} {}", error.variable, error.problem)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

impl ServeArgs {
    /// Checks every setting.
    ///
    /// # Errors
    /// All that are wrong, each with its variable's name. Secrets are never shown.
    pub fn check(&self) -> Result<Config, ConfigErrors> {
        let mut wrong = Vec::new();
        let database_url = self
            .database
            .url()
            .map_err(|missing| wrong.extend(missing.0));
        let mut keep = |variable, problem: String| wrong.push(ConfigError::new(variable, problem));

        let listen = resolve(&self.listen).map_err(|problem| keep("ENLIST_LISTEN", problem));
        let public_url = self
            .public_url
            .as_deref()
            .map(public_url)
            .transpose()
            .map_err(|problem| keep("ENLIST_PUBLIC_URL", problem));
        let smtp = match &self.smtp_url {
            Some(url) if !url.expose_secret().is_empty() => url
                .expose_secret()
                .parse::<SmtpUrl>()
                .map_err(|error| keep("ENLIST_SMTP_URL", error.to_string())),
            _ => {
                keep(
                    "ENLIST_SMTP_URL",
                    "is not set; give the mail server, as smtp://user:password@host:587?tls=required".into(),
                );
                Err(())
            }
        };
        let from = match self.mail_from.as_deref() {
            Some(text) => mailbox(text).map_err(|problem| keep("ENLIST_MAIL_FROM", problem)),
            None => mailbox("enlist@localhost")
                .map(|from| Mailbox::new(Some(self.org_name.trim().to_owned()), from.email))
                .map_err(|problem| keep("ENLIST_ORG_NAME", problem)),
        };
        let reply_to = self
            .mail_reply_to
            .as_deref()
            .map(mailbox)
            .transpose()
            .map_err(|problem| keep("ENLIST_MAIL_REPLY_TO", problem));
        let bounces = self
            .mail_bounces
            .as_deref()
            .map(return_address)
            .transpose()
            .map_err(|problem| keep("ENLIST_MAIL_BOUNCES", problem));
        let keys = match &self.secret_keys {
            Some(keys) => KeyRing::parse(keys.expose_secret())
                .map_err(|error| keep("ENLIST_SECRET_KEYS", error.to_string())),
            None => {
                keep(
                    "ENLIST_SECRET_KEYS",
                    "is not set; make a key with: echo k1:$(openssl rand -base64 32)".into(),
                );
                Err(())
            }
        };
        let org_name = crate::model::wire::line(&self.org_name, 200)
            .map_err(|flaw| keep("ENLIST_ORG_NAME", flaw.detail));
        let support = self
            .support
            .as_deref()
            .map(support)
            .transpose()
            .map_err(|problem| keep("ENLIST_SUPPORT", problem));
        let logo = self
            .logo
            .as_ref()
            .map(|path| {
                let bytes = std::fs::read(path).map_err(|error| {
                    keep("ENLIST_LOGO", format!("{}: {error}", path.display()));
                })?;
                Logo::parse(bytes).map_err(|error| {
                    keep("ENLIST_LOGO", format!("{}: {error}", path.display()));
                })
            })
            .transpose();
        let cors_origins =
            origins(&self.cors_origins).map_err(|problem| keep("ENLIST_CORS_ORIGINS", problem));
        let mail_connections = number(&self.mail_connections)
            .map_err(|problem| keep("ENLIST_MAIL_CONNECTIONS", problem));
        let limit_key =
            number(&self.limit_key).map_err(|problem| keep("ENLIST_LIMIT_KEY", problem));
        let limit_secrets =
            number(&self.limit_secrets).map_err(|problem| keep("ENLIST_LIMIT_SECRETS", problem));
        let mail_rate = self
            .mail_rate
            .as_deref()
            .map(number)
            .transpose()
            .map_err(|problem| keep("ENLIST_MAIL_RATE", problem));
        let limit_client =
            number(&self.limit_client).map_err(|problem| keep("ENLIST_LIMIT_CLIENT", problem));
        let trusted = networks(&self.trusted_proxies)
            .map_err(|problem| keep("ENLIST_TRUSTED_PROXIES", problem));
        let keep_messages =
            kept(&self.keep_messages, 1).map_err(|problem| keep("ENLIST_KEEP_MESSAGES", problem));
        let keep_invitations = kept(&self.keep_invitations, LONGEST_INVITATION)
            .map_err(|problem| keep("ENLIST_KEEP_INVITATIONS", problem));
        let keep_audit =
            kept(&self.keep_audit, 1).map_err(|problem| keep("ENLIST_KEEP_AUDIT", problem));

        match (
            database_url,
            listen,
            public_url,
            smtp,
            from,
            reply_to,
            bounces,
            keys,
            org_name,
            support,
            logo,
            cors_origins,
            limit_client,
            limit_key,
            limit_secrets,
            trusted,
            keep_messages,
            keep_invitations,
            keep_audit,
            mail_connections,
            mail_rate,
        ) {
            (
                Ok(database_url),
                Ok(listen),
                Ok(public_url),
                Ok(smtp),
                Ok(from),
                Ok(reply_to),
                Ok(bounces),
                Ok(keys),
                Ok(org_name),
                Ok(support),
                Ok(logo),
                Ok(cors_origins),
                Ok(limit_client),
                Ok(limit_key),
                Ok(limit_secrets),
                Ok(trusted),
                Ok(keep_messages),
                Ok(keep_invitations),
                Ok(keep_audit),
                Ok(mail_connections),
                Ok(mail_rate),
            ) if wrong.is_empty() => Ok(Config {
                database_url: database_url.into(),
                role: self.role,
                migrate: !self.no_migrate,
                listen,
                public_url,
                smtp,
                from,
                reply_to,
                bounces,
                keys,
                branding: Branding {
                    org_name,
                    support,
                    logo,
                },
                cors_origins,
                limits: Rates {
                    client: limit_client,
                    key: limit_key,
                    secrets: limit_secrets,
                },
                proxies: Proxies {
                    trusted,
                    header: self.proxy_header,
                },
                keep: Keep {
                    messages: keep_messages,
                    invitations: keep_invitations,
                    audit: keep_audit,
                },
                mail_connections: mail_connections.get().min(256) as usize,
                mail_rate,
            }),
            _ => Err(ConfigErrors(wrong)),
        }
    }
}

/// An address whose local part has room for a token behind a plus sign (RFC 5321 §4.5.3.1.1).
fn return_address(text: &str) -> Result<Address, String> {
    const ROOM: usize = 64 - 1 - return_path::LENGTH;
    let address: Address = text.parse().map_err(|error| {
        format!("`{text}` is not an address ({error}); expected one such as bounces@example.com")
    })?;
    if address.user().len() > ROOM || !text.is_ascii() {
        return Err(format!(
            "`{text}` has to have at most {ROOM} characters before the @, all of them ASCII: a token comes behind them"
        ));
    }
    Ok(address)
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    text.parse().map_err(|error| {
        format!(
            "`{text}` is not a mailbox ({error}); expected one such as: Example IT <it@example.com>"
        )
    })
}

fn resolve(text: &str) -> Result<SocketAddr, String> {
    use std::net::ToSocketAddrs;
    text.to_socket_addrs()
        .ok()
        .and_then(|mut addresses| addresses.next())
        .ok_or_else(|| format!("`{text}` is not an address and port, such as 127.0.0.1:8080"))
}

fn public_url(text: &str) -> Result<String, String> {
    let hint = "expected the address that people reach, such as https://enroll.example.com";
    let url =
        Url::parse(text).map_err(|error| format!("`{text}` is not a URL ({error}); {hint}"))?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    if is_plain {
        Ok(url.as_str().trim_end_matches('/').to_owned())
    } else {
        Err(format!(
            "`{text}` has more or less than scheme, host and path; {hint}"
        ))
    }
}

fn support(text: &str) -> Result<String, String> {
    let is_url = Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if is_url || email_address::EmailAddress::is_valid(text) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is neither an e-mail address nor an http(s) URL"
        ))
    }
}

fn origins(text: &str) -> Result<Vec<String>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|origin| !origin.is_empty())
        .map(|origin| {
            let url = Url::parse(origin).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
            match url {
                Some(url) if url.origin().ascii_serialization() == origin => Ok(origin.to_owned()),
                _ => Err(format!(
                    "`{origin}` is not an origin, such as https://admin.example.com (no path, no slash at the end)"
                )),
            }
        })
        .collect()
}

/// Addresses and networks, such as 10.0.0.5 and 192.0.2.0/24.
fn networks(text: &str) -> Result<Vec<IpNet>, String> {
    text.split(',')
        .map(str::trim)
        .filter(|network| !network.is_empty())
        .map(|network| {
            let address = network.parse::<IpAddr>().map(IpNet::from);
            address.or_else(|_| network.parse()).map_err(|_| {
                format!("`{network}` is neither an address nor a network, such as 10.0.0.5 or 192.0.2.0/24")
            })
        })
        .collect()
}

/// So many days, or for ever.
fn kept(text: &str, least: i64) -> Result<Option<TimeDelta>, String> {
    if text == "forever" {
        return Ok(None);
    }
    match text.parse() {
        Ok(days) if (least..=MOST_DAYS).contains(&days) => Ok(Some(TimeDelta::days(days))),
        _ => Err(format!(
            "`{text}` is neither a number of days from {least} to {MOST_DAYS} nor `forever`"
        )),
    }
}

fn number(text: &str) -> Result<NonZeroU32, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a whole number of 1 or more"))
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
            config.public_url.as_deref(),
            Some("https://e.example.com/base")
        );
        assert_eq!(config.cors_origins.len(), 2);
        assert_eq!(config.proxies.trusted.len(), 2);
        assert_eq!(config.mail_connections, 8);
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
            "--mail-connections=0",
            "--mail-rate=fast",
            "--limit-client=0",
            "--keep-messages=0",
            "--keep-invitations=29",
            "--limit-key=many",
            "--limit-secrets=-1",
            "--trusted-proxies=10.0.0.1,10.0.0.0/33",
            "--smtp-url=gopher://x",
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
            "ENLIST_MAIL_CONNECTIONS",
            "ENLIST_MAIL_RATE",
            "ENLIST_LIMIT_CLIENT",
            "ENLIST_KEEP_MESSAGES",
            "ENLIST_KEEP_INVITATIONS",
            "ENLIST_LIMIT_KEY",
            "ENLIST_LIMIT_SECRETS",
            "ENLIST_TRUSTED_PROXIES",
            "ENLIST_SMTP_URL",
        ] {
            assert!(told.contains(variable), "{variable} is missing in:\n{told}");
        }
    }
}
