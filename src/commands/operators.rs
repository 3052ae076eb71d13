//! `enlist operators`: the first operator has to come from the shell, since nobody can sign in before.

use std::io::{self, IsTerminal, Read};

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use diesel::Connection;
use enlist::{
    access::manage_operators::add,
    model::{caller::Role, identity::Email, secret_input::Password},
    secrets::password,
};

use super::{
    database::{KeyedArgs, trail, with_connection},
    out::say,
    role::role,
};

/// More than any password, in bytes.
const LONGEST_LINE: u64 = 4_096;

/// What can be done with operators.
#[derive(Subcommand)]
pub enum Operators {
    /// Add an operator; the password is asked for, or read from standard input
    Create(CreateArgs),
}

/// What `operators create` takes. The password never stands in a command line, where every process can read it.
#[derive(Args)]
pub struct CreateArgs {
    #[command(flatten)]
    keyed: KeyedArgs,
    /// What the operator signs in with
    #[arg(long)]
    email: String,
    /// What the operator may do
    #[arg(long, value_parser = role())]
    role: Role,
}

impl Operators {
    /// Does what the command is for.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Create(args) => create(&args),
        }
    }
}

/// Adds an operator and prints the id.
fn create(args: &CreateArgs) -> anyhow::Result<()> {
    let email =
        Email::parse(&args.email).map_err(|flaw| anyhow::anyhow!("--email {}", flaw.detail))?;
    let password = Password::parse(&typed_password()?)
        .map_err(|flaw| anyhow::anyhow!("the password {}", flaw.detail))?;
    let hash = password::hash(&password.into_secret()).map_err(anyhow::Error::msg)?;
    let keys = args.keyed.keys_if_any()?;
    with_connection(&args.keyed.database, |connection, clock| {
        let trail = trail(connection, clock, keys)?;
        let added =
            connection.transaction(|connection| add(connection, &trail, email, args.role, &hash));
        let operator = match added {
            Err(error) if error.code == "already_exists" => {
                bail!("another operator has the address {}", args.email)
            }
            added => added.map_err(|error| {
                let cause = error
                    .source
                    .unwrap_or_else(|| error.detail.into_string().into());
                anyhow::anyhow!("{cause}")
                    .context("the operator cannot be stored; is the schema there (enlist migrate)?")
            })?,
        };
        say(operator.id)
    })
}

/// From a terminal asked for twice and not shown, else the first line of standard input.
fn typed_password() -> anyhow::Result<String> {
    if !io::stdin().is_terminal() {
        let mut line = String::new();
        io::stdin()
            .take(LONGEST_LINE)
            .read_to_string(&mut line)
            .context("the password cannot be read from standard input")?;
        return Ok(line.lines().next().unwrap_or_default().to_owned());
    }
    let password = rpassword::prompt_password("Password: ")?;
    if rpassword::prompt_password("Once more: ")? != password {
        bail!("the passwords do not match");
    }
    Ok(password)
}
