//! `enlist api-keys`: the first key has to come from the shell, since nobody can ask the API for it.

use anyhow::Context;
use clap::{Args, Subcommand};
use diesel::Connection;
use enlist::{
    access::{domain::KeyName, manage_keys::make},
    model::caller::Role,
};

use super::{
    database::{KeyedArgs, trail, with_connection},
    out::say,
    role::role,
};

/// What can be done with API keys.
#[derive(Subcommand)]
pub enum ApiKeys {
    /// Make a key and print it: the only time that it is shown
    Create(CreateArgs),
}

/// What `api-keys create` takes.
#[derive(Args)]
pub struct CreateArgs {
    #[command(flatten)]
    keyed: KeyedArgs,
    /// What the key is for
    #[arg(long)]
    name: String,
    /// What it may do
    #[arg(long, value_parser = role())]
    role: Role,
}

impl ApiKeys {
    /// Does what the command is for.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Create(args) => create(&args),
        }
    }
}

/// Makes an API key and prints just the key.
fn create(args: &CreateArgs) -> anyhow::Result<()> {
    let name =
        KeyName::parse(&args.name).map_err(|flaw| anyhow::anyhow!("--name {}", flaw.detail))?;
    let keys = args.keyed.keys_if_any()?;
    with_connection(&args.keyed.database, |connection, clock| {
        let trail = trail(connection, clock, keys)?;
        let made = connection
            .transaction(|connection| make(connection, &trail, name, args.role, None))
            .context("the key cannot be stored; is the schema there (enlist migrate)?")?;
        say(&made.key)
    })
}
