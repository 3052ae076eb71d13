//! `enlist check`: whether the service would start and work with these settings.

use anyhow::bail;
use enlist::{
    clock::Clock,
    config::{Names, ServeArgs},
    embedded::{
        dev::{known_secret_keys, new_secret_keys},
        postgres,
    },
    server::check::{Check, Verdict},
};

use super::{out::say, runtime::block_on};

/// In place of the URL of a database that is not running.
const ASLEEP: &str = "postgres:///";

/// Looks, and says what it finds in a line each. Fails if something does not work.
pub fn run(mut args: ServeArgs, names: Names) -> anyhow::Result<()> {
    let (embedded, mut is_asleep) = (args.database.told_of_embedded(), false);
    if embedded.is_some() {
        // Neither a cluster nor a key is made only to look at it.
        let url = postgres::url_of_running(&args.database.data_dir);
        is_asleep = url.is_none();
        args.database.database_url = Some(url.unwrap_or_else(|| ASLEEP.to_owned()).into());
        if args.keys.secret_keys.is_none() {
            let known = known_secret_keys(&args.database.data_dir)?;
            args.keys.secret_keys = Some(known.map_or_else(new_secret_keys, Ok)?);
        }
    }
    let (settings, wrong) = args.sections();
    let check = Check {
        settings,
        wrong,
        migrates: !args.no_migrate,
        names,
        embedded,
        is_asleep,
        audit_heads: args.audit.audit_heads.clone(),
    };
    let (mut failed, mut said) = (0, Ok(()));
    block_on(check.run(&Clock::system(), &mut |finding| {
        failed += usize::from(finding.verdict == Verdict::Failed);
        if said.is_ok() {
            said = say(finding);
        }
    }))?;
    said?;
    match failed {
        0 => Ok(()),
        1 => bail!("one thing does not work"),
        failed => bail!("{failed} things do not work"),
    }
}
