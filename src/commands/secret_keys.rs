//! `enlist secret-keys`: what is left to do when a key is lost, while the service that would do it cannot start.

use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use diesel::Connection;
use enlist::{audit::Trail, config::SECRET_KEYS, server::keys::lose};

use super::{
    database::{KeyedArgs, with_connection},
    out::say,
};

/// What can be done about the service's keys.
#[derive(Subcommand)]
pub enum SecretKeys {
    /// Give up what needs a key that nobody has any more: pending invitations are revoked, and what settings have sealed
    /// under it is taken out
    Lost(LostArgs),
}

/// What `secret-keys lost` takes.
#[derive(Args)]
pub struct LostArgs {
    #[command(flatten)]
    keyed: KeyedArgs,
    /// The id of the key
    id: String,
}

impl SecretKeys {
    /// Does what the command is for.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Lost(args) => lost(&args),
        }
    }
}

/// Gives up what needs the key, and says what it was.
fn lost(args: &LostArgs) -> anyhow::Result<()> {
    let (keys, id) = (args.keyed.keys()?, &args.id);
    if keys.get(id).is_some() {
        bail!("the key `{id}` is in {SECRET_KEYS}, so it is not lost; leave it out there first");
    }
    with_connection(&args.keyed.database, |connection, clock| {
        // Whoever has lost the service's own key signs with the next.
        let trail = Trail::shell(clock, Some(Arc::new(keys)));
        let lost = connection
            .transaction(|connection| lose(connection, &trail, id))
            .context(
                "what needs the key cannot be given up; is the schema there (enlist migrate)?",
            )?;
        say(format_args!(
            "{} pending invitations were revoked: send to those users again.",
            lost.invitations
        ))?;
        match lost.settings {
            Some(settings) => say(format_args!(
                "What was sealed of {settings} is gone: set addresses and QR payloads again."
            )),
            None => say("Nothing was sealed under it."),
        }
    })
}
