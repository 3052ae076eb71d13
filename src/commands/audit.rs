//! `enlist audit`: checks that the audit log is what was written.

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use enlist::audit::chain::{self, Head};

use super::database::{KeyedArgs, with_connection};

/// What can be done with the audit log.
#[derive(Subcommand)]
pub enum Audit {
    /// Check that nothing in it was changed, left out or added
    Verify(VerifyArgs),
}

/// What `audit verify` takes.
#[derive(Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    keyed: KeyedArgs,
    /// An end of the chain that an earlier check gave: whether it is still there is checked, too
    #[arg(long, value_name = "POSITION:MAC")]
    head: Option<Head>,
}

impl Audit {
    /// Does what the command is for.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Verify(args) => verify(&args),
        }
    }
}

/// Checks the chain: what is wrong goes to standard output, and the exit code says whether anything is.
fn verify(args: &VerifyArgs) -> anyhow::Result<()> {
    let keys = args.keyed.keys()?;
    with_connection(&args.keyed.database, |connection, _| {
        let verified = chain::verify(connection, &keys)
            .context("the audit log cannot be read; is the schema there (enlist migrate)?")?;
        let mut faults = verified.faults;
        if let Some(head) = &args.head
            && !head.is_there(connection)?
        {
            faults.push("the end that was noted earlier is not in the chain any more".into());
        }
        for fault in &faults {
            println!("{fault}");
        }
        println!(
            "{} events are in the chain, {} not yet, {} were forgotten.",
            verified.linked, verified.unlinked, verified.forgotten
        );
        if let Some(head) = &verified.head {
            println!("Its end is {head}; note it elsewhere, to notice when the log is cut off.");
        }
        match faults.len() {
            0 => Ok(()),
            faults => bail!("the audit log is not what was written: {faults} faults"),
        }
    })
}
