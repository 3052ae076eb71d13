//! The command line.

mod commands;

use std::process::ExitCode;

use crate::commands::{KeyedArgs, VerifyArgs};
use clap::{Parser, Subcommand};
use enlist::{
    config::{DatabaseArgs, DevArgs, ServeArgs},
    model::caller::Role,
};

/// Invites people to enroll their devices in MDM.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Try it on this machine: database, sample users and a mailbox page, all arranged
    Dev(DevArgs),
    /// Run the service: API and delivery workers
    Serve(Box<ServeArgs>),
    /// Apply pending migrations to the database
    Migrate(DatabaseArgs),
    /// Print the OpenAPI document
    Openapi,
    /// Manage users
    Users {
        #[command(subcommand)]
        command: Users,
    },
    /// Manage API keys
    ApiKeys {
        #[command(subcommand)]
        command: ApiKeys,
    },
    /// Take a mail that came back, from standard input, as POST /mail/bounces does: for a mail server's pipe
    Bounce(KeyedArgs),
    /// Look after the audit log
    Audit {
        #[command(subcommand)]
        command: Audit,
    },
    /// Manage operators, who sign in at the frontend
    Operators {
        #[command(subcommand)]
        command: Operators,
    },
}

#[derive(Subcommand)]
enum Users {
    /// Import users from a file, as POST /users/import does
    Import(commands::users::ImportArgs),
}

#[derive(Subcommand)]
enum ApiKeys {
    /// Make a key and print it: the only time that it is shown
    Create {
        #[command(flatten)]
        database: DatabaseArgs,
        /// What the key is for
        #[arg(long)]
        name: String,
        /// What it may do
        #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(Role::NAMES))]
        role: String,
    },
}

#[derive(Subcommand)]
enum Audit {
    /// Check that nothing in it was changed, left out or added
    Verify(VerifyArgs),
}

#[derive(Subcommand)]
enum Operators {
    /// Add an operator; the password is asked for, or read from standard input
    Create {
        #[command(flatten)]
        database: DatabaseArgs,
        /// What the operator signs in with
        #[arg(long)]
        email: String,
        /// What the operator may do
        #[arg(long, value_parser = clap::builder::PossibleValuesParser::new(Role::NAMES))]
        role: String,
    },
}

fn main() -> ExitCode {
    // A missing .env is fine; one that cannot be read is not.
    if let Err(error) = dotenvy::dotenv()
        && !error.not_found()
    {
        eprintln!("enlist: .env: {error}");
        return ExitCode::FAILURE;
    }
    let done = match Cli::parse().command {
        Command::Dev(args) => commands::dev(args),
        Command::Serve(args) => commands::serve(*args),
        Command::Migrate(database) => commands::migrate(&database),
        Command::Openapi => commands::openapi(),
        Command::Users {
            command: Users::Import(args),
        } => commands::users::run(args),
        Command::ApiKeys {
            command:
                ApiKeys::Create {
                    database,
                    name,
                    role,
                },
        } => commands::create_api_key(&database, &name, &role),
        Command::Bounce(args) => {
            return match commands::bounce(&args) {
                Ok(()) => ExitCode::SUCCESS,
                // The mail server keeps the report and tries again (EX_TEMPFAIL of sysexits.h).
                Err(error) => {
                    eprintln!("enlist: {error:#}");
                    ExitCode::from(75)
                }
            };
        }
        Command::Audit {
            command: Audit::Verify(args),
        } => commands::verify_audit(&args),
        Command::Operators {
            command:
                Operators::Create {
                    database,
                    email,
                    role,
                },
        } => commands::create_operator(&database, &email, &role),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("enlist: {error:#}");
            ExitCode::FAILURE
        }
    }
}
