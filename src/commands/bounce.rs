//! `enlist bounce`: takes a mail that came back, from a mail server's pipe.

use std::{
    io::{self, Read},
    sync::Arc,
};

use anyhow::Context;
use diesel::Connection;
use enlist::{
    audit::Trail,
    bounces::{self, LARGEST},
    server::keys::for_the_shell,
};

use super::{
    database::{KeyedArgs, with_connection},
    out::say,
};

/// The exit code of a failure: the mail server keeps the report and tries again (EX_TEMPFAIL of sysexits.h).
pub const TRY_AGAIN: u8 = 75;

/// Takes the mail from standard input. Whatever it says is no error: the mail server has done its part.
pub fn run(args: &KeyedArgs) -> anyhow::Result<()> {
    let keys = args.keys()?;
    let mut mail = Vec::new();
    let mut input = io::stdin().lock();
    (&mut input)
        .take(LARGEST as u64)
        .read_to_end(&mut mail)
        .context("the mail cannot be read from standard input")?;
    // The rest is what was sent; a mail server takes it amiss if nobody reads it.
    io::copy(&mut input, &mut io::sink())?;
    with_connection(&args.database, |connection, clock| {
        let keys = Arc::new(for_the_shell(connection, keys)?);
        let trail = Trail::shell(clock, Some(Arc::clone(&keys)));
        let taken = connection
            .transaction(|connection| bounces::take(connection, &keys, &trail, &mail))
            .context("the report cannot be stored; is the schema there (enlist migrate)?")?;
        // It is stored, whoever reads that: the mail server must not send it again.
        let _ = say(taken.outcome);
        Ok(())
    })
}
