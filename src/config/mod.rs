//! Every setting, once: an environment variable, a line of `.env` or a flag of the same name. Each section has a file, with
//! its arguments as they come and what they are once checked.

mod audit;
mod callers;
mod database;
mod delivery;
mod dev;
mod errors;
mod http;
mod keys;
mod logging;
mod mail;
mod mail_test;
mod names;
mod oauth;
mod organisation;
mod retention;
mod serve;
mod values;

pub use self::{
    audit::{AUDIT_HEADS, AuditArgs},
    callers::{CallerArgs, Callers},
    database::{
        DATA_DIR, DATABASE_URL, DatabaseArgs, DatabaseUrls, MIGRATE_URL, OwnerArgs, most_open,
    },
    delivery::{Delivery, DeliveryArgs},
    dev::DevArgs,
    errors::ConfigErrors,
    http::{Http, HttpArgs},
    keys::{KeyArgs, SECRET_KEYS},
    logging::{LOG, LogArgs},
    mail::{Mail, MailArgs},
    mail_test::{MailTest, MailTestArgs},
    names::{Names, Settings},
    oauth::OauthArgs,
    organisation::OrganisationArgs,
    retention::{KEEP_AUDIT, RetentionArgs, kept_audit},
    serve::{Config, InstanceRole, Sections, ServeArgs},
};
