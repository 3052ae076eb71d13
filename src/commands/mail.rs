//! `enlist mail test`: a test mail, stage by stage.

use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Subcommand;
use enlist::{
    clock::Clock,
    config::MailTestArgs,
    mail::letter::Writer,
    server::outgoing,
    trials::{Tester, TrialError},
};

use super::{out::say, runtime::block_on};

/// What can be done with the mail server.
#[derive(Subcommand)]
pub enum Mail {
    /// Send a short test mail, and say what the mail server does at each stage
    Test(Box<MailTestArgs>),
}

impl Mail {
    /// Does what the command is for.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Test(args) => test(&args),
        }
    }
}

/// Sends it, and says what is passed. Fails if the mail server does not take it.
fn test(args: &MailTestArgs) -> anyhow::Result<()> {
    let test = args.check()?;
    let clock = Clock::system();
    // No link is in it.
    let base = String::new();
    let from = test.mail.from.clone();
    let writer = Writer::new(test.branding, from, test.mail.reply_to.clone(), base);
    // The client of a token server needs the runtime.
    block_on(async {
        let tester = Tester {
            writer: Arc::new(writer.context("the mail cannot be made")?),
            smtp: outgoing::pool(&test.mail, 1, &clock)?,
            bounces: test.mail.bounces,
        };
        let mut said = Ok(());
        let sent = tester
            .send(&test.to, clock.new_id(), clock.now(), &mut |passed| {
                if said.is_ok() {
                    said = say(passed);
                }
            })
            .await;
        said?;
        match sent {
            Ok(_) => Ok(()),
            Err(TrialError::Failed(failure)) => bail!(
                "not accepted: {}\nwhat to do: {}",
                failure.shown(),
                failure.remedy
            ),
            Err(error) => Err(error.into()),
        }
    })?
}
