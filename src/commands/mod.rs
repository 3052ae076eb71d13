//! The command line: which commands there are. Each has a file, with its arguments and what it does.

mod audit;
mod bounce;
mod check;
mod database;
mod dev;
mod keys;
mod mail;
mod migrate;
mod openapi;
mod operators;
pub mod out;
mod role;
mod roles;
mod run;
mod runtime;
mod secret_keys;
mod serve;
mod signals;
mod users;
pub mod variables;

use anyhow::bail;
use clap::{Parser, Subcommand};
use enlist::config::{DevArgs, Names, ServeArgs};

use self::{database::KeyedArgs, out::hint};

/// Invites people to enroll their devices in MDM.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Every command.
#[derive(Subcommand)]
pub enum Command {
    /// Try it on this machine: database, sample users and a mailbox page, all arranged
    Dev(DevArgs),
    /// Run the service: API and delivery workers
    Serve(Box<ServeArgs>),
    /// Look whether the service would start and work with these settings; nothing is changed or sent
    Check(Box<ServeArgs>),
    /// Try the mail server out
    Mail {
        #[command(subcommand)]
        command: mail::Mail,
    },
    /// Apply pending migrations to the database
    Migrate(migrate::MigrateArgs),
    /// Look after the database itself
    Database {
        #[command(subcommand)]
        command: roles::Database,
    },
    /// Print the OpenAPI document
    Openapi,
    /// Manage users
    Users {
        #[command(subcommand)]
        command: users::Users,
    },
    /// Manage API keys
    ApiKeys {
        #[command(subcommand)]
        command: keys::ApiKeys,
    },
    /// Look after the service's keys
    SecretKeys {
        #[command(subcommand)]
        command: secret_keys::SecretKeys,
    },
    /// Take a mail that came back, from standard input, as POST /mail/bounces does: for a mail server's pipe
    Bounce(KeyedArgs),
    /// Look after the audit log
    Audit {
        #[command(subcommand)]
        command: audit::Audit,
    },
    /// Manage operators, who sign in at the frontend
    Operators {
        #[command(subcommand)]
        command: operators::Operators,
    },
}

impl Command {
    /// Does what the command is for. Gives what the process exits with.
    ///
    /// # Errors
    /// Whatever stops it, in words for the person at the shell.
    pub fn run(self, names: Names) -> anyhow::Result<u8> {
        match self {
            // It is for saying such things.
            Self::Check(_) => {}
            _ if !names.mistyped.is_empty() => bail!(names.mistyped.join("\n")),
            // They keep a log.
            Self::Dev(_) | Self::Serve(_) | Self::Migrate(_) => {}
            _ => names.unknown.iter().for_each(hint),
        }
        let done = match self {
            Self::Dev(args) => dev::run(args, &names),
            Self::Serve(args) => serve::run(*args, &names),
            Self::Check(args) => check::run(*args, names),
            Self::Mail { command } => command.run(),
            Self::Migrate(args) => migrate::run(&args, &names),
            Self::Database { command } => command.run(),
            Self::Openapi => openapi::run(),
            Self::Users { command } => command.run(),
            Self::ApiKeys { command } => command.run(),
            Self::SecretKeys { command } => command.run(),
            Self::Bounce(args) => bounce::run(&args),
            Self::Audit { command } => return command.run(),
            Self::Operators { command } => command.run(),
        };
        done.map(|()| 0)
    }

    /// What the process exits with when the command fails.
    pub fn code_of_failure(&self) -> u8 {
        match self {
            Self::Bounce(_) => bounce::TRY_AGAIN,
            Self::Audit { .. } => audit::NOT_CHECKED,
            _ => 1,
        }
    }
}
