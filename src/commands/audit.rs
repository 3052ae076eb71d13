//! `enlist audit`: checks that the audit log is what was written, and takes down what of it is known to be gone.

use std::path::PathBuf;

use anyhow::{Context, bail};
use chrono::TimeDelta;
use clap::{Args, Subcommand};
use enlist::{
    audit::{
        heads::{self, Head},
        losses,
        verifying::{self, Verified},
    },
    clock::Clock,
    config::{AUDIT_HEADS, DATABASE_URL, SECRET_KEYS},
    db,
    model::wire::line,
    server::keys::impostor,
};

use super::{
    database::{KeyedArgs, connected, trail, with_connection, with_database},
    out::{hint, say},
};

/// A wait for a link that is worth a word.
const LONG: TimeDelta = TimeDelta::minutes(1);

/// What can be done with the audit log.
#[derive(Subcommand)]
pub enum Audit {
    /// Check that nothing in it was changed, left out or added; exits with 0 if so, 1 if not, 2 if it could not be checked
    Verify(VerifyArgs),
    /// Say that ends of its chain are gone by a failover or the restore of a backup, and no fault
    Acknowledge(AcknowledgeArgs),
}

/// What `audit verify` takes.
#[derive(Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    keyed: KeyedArgs,
    /// An end of the chain that was told earlier: whether it is still there is checked, too
    #[arg(long, value_name = "POSITION:HASH")]
    head: Vec<Head>,
    /// The file that the service tells the chain's ends to: all of them are checked, too
    #[arg(long, env = AUDIT_HEADS, value_name = "FILE")]
    audit_heads: Option<PathBuf>,
}

/// What `audit acknowledge` takes.
#[derive(Args)]
pub struct AcknowledgeArgs {
    #[command(flatten)]
    keyed: KeyedArgs,
    /// The ends that verify misses, as it names them; the highest one stands for others in the same gap
    #[arg(value_name = "POSITION:HASH", required = true)]
    end: Vec<Head>,
    /// How they were lost: it stays in the log
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
}

/// Takes a reason, which is shown in a line.
fn reason(text: &str) -> Result<String, String> {
    line(text, 500).map_err(|flaw| flaw.detail)
}

/// The exit status where nothing could be checked: that the log is not what was written is another one.
pub const NOT_CHECKED: u8 = 2;

impl Audit {
    /// Does what the command is for.
    pub fn run(self) -> anyhow::Result<u8> {
        match self {
            Self::Verify(args) => verify(&args),
            Self::Acknowledge(args) => acknowledge(args).map(|()| 0),
        }
    }
}

/// Writes down that ends are gone, and why.
fn acknowledge(args: AcknowledgeArgs) -> anyhow::Result<()> {
    let keys = args.keyed.keys()?;
    with_connection(&args.keyed.database, |connection, clock| {
        let trail = trail(connection, clock, Some(keys))?;
        losses::acknowledge(connection, &trail, &args.end, &args.reason)?;
        say(
            "It is written down. `enlist audit verify` lists it from now on, and no longer as a fault.",
        )
    })
}

/// Checks the log: what is wrong goes to standard output, and the exit code says whether anything is.
fn verify(args: &VerifyArgs) -> anyhow::Result<u8> {
    let keys = args.keyed.keys()?;
    let mut noted = args.head.clone();
    if let Some(path) = &args.audit_heads {
        let file = heads::read_file(path).with_context(|| format!("{}", path.display()))?;
        if file.heads.is_empty() {
            say(format_args!(
                "{}: no end of the chain was told there yet.",
                path.display()
            ))?;
        }
        for unread in &file.unreadable {
            say(format_args!(
                "{}: passed over, since it is no end of the chain: {unread}",
                path.display()
            ))?;
        }
        noted.extend(file.heads.into_iter().map(|noted| noted.head));
    }
    with_database(&args.keyed.database, |url| {
        is_of_this_version(url)?;
        let connection = &mut connected(url)?;
        if let Some(id) = impostor(connection, &keys)
            .context("the keys cannot be compared; is the schema there (enlist migrate)?")?
        {
            bail!(
                "{SECRET_KEYS}: the key `{id}` is not the one that the service has under this id"
            );
        }
        let verified = verifying::verify(connection, &keys, &noted, Clock::system().now())
            .context("the audit log cannot be read; is the schema there (enlist migrate)?")?;
        for line in said(&verified) {
            say(line)?;
        }
        Ok(match verified.faults.len() {
            0 => 0,
            faults => {
                hint(format_args!(
                    "enlist: the audit log is not what was written: {faults} faults"
                ));
                1
            }
        })
    })
}

/// What the migrations make is known of this version's alone.
fn is_of_this_version(url: &str) -> anyhow::Result<()> {
    let schema = db::schema_at(url).map_err(|error| anyhow::anyhow!("{DATABASE_URL}: {error}"))?;
    if schema.is_newer {
        bail!("the schema is that of a newer version: use its `enlist`");
    }
    if !schema.pending.is_empty() {
        let lesser = schema.refusal().filter(|_| !schema.is_readable);
        bail!(
            "{}",
            lesser.unwrap_or_else(|| {
                "the schema is not that of this version: run `enlist migrate`".into()
            })
        );
    }
    Ok(())
}

/// What came of it, a line each: first what is wrong, then what is only to be known.
fn said(verified: &Verified) -> Vec<String> {
    let mut lines = verified.faults.clone();
    lines.push(format!(
        "{} events are in the chain, {} wait for their link, {} were forgotten.",
        verified.linked, verified.waiting, verified.forgotten
    ));
    if let Some(since) = verified.waiting_since {
        lines.push(format!(
            "The oldest that waits was written at {since}: a running service links it within seconds."
        ));
    }
    if let Some(wait) = verified.longest_wait.filter(|wait| *wait > LONG) {
        lines.push(format!(
            "The longest that an event waited for its link was {} minutes.",
            wait.num_minutes()
        ));
    }
    if verified.by_older > 0 {
        lines.push(format!(
            "{} events were linked by an older version, which signed none by itself: their links fit.",
            verified.by_older
        ));
    }
    if verified.unsigned > 0 {
        lines.push(format!(
            "{} events are not signed: a shell without {SECRET_KEYS} wrote them, or an older version beside this one:",
            verified.unsigned
        ));
        lines.extend(
            verified
                .unsigned_shown
                .iter()
                .map(|shown| format!("  {shown}")),
        );
    }
    for known in &verified.known_losses {
        lines.push(format!("Known: {known}"));
    }
    for (key, number) in &verified.unchecked {
        lines.push(format!(
            "{number} signatures, links or seals were made with the key `{key}`, which {SECRET_KEYS} does not hold: they \
             are not checked."
        ));
    }
    for account in &verified.unsigned_accounts {
        lines.push(format!(
            "{account}: the event that tells who made it is not signed."
        ));
    }
    for account in &verified.older_accounts {
        lines.push(format!("{account} is older than what the log remembers."));
    }
    if let Some(head) = &verified.head {
        lines.push(format!(
            "Its end is {head}; note it elsewhere, to notice when the log is cut off."
        ));
    }
    lines
}
