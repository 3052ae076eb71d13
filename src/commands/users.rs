//! `enlist users import`: the same import as over HTTP, from the shell.

use std::{
    fs::File,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use clap::{
    Args, Subcommand,
    builder::{PossibleValuesParser, TypedValueParser},
};
use enlist::{
    audit::Trail,
    clock::Clock,
    config::{DatabaseArgs, OwnerArgs, SECRET_KEYS},
    db::{Db, DbError},
    secrets::{keys::KeyRing, password::Hasher},
    server::{
        keys::{check_keys, for_the_shell},
        schema::bring_up,
    },
    users::{
        csv::{
            decoding::{Charset, KNOWN},
            mapping::ColumnMap,
        },
        import::{
            self, Detected, Format, ImportError, OnConflict, Options, Progress, Report, Shape,
            Tools, Upload,
        },
    },
};
use indicatif::{ProgressBar, ProgressStyle};
use secrecy::SecretString;

use super::{
    database::{UNSIGNED, keys_of, with_database},
    out::{end, hint, print, say},
    runtime::block_on,
    signals::Signals,
};

/// What can be done with users.
#[derive(Subcommand)]
pub enum Users {
    /// Import users from a file, as POST /users/import does
    Import(ImportArgs),
}

/// What `users import` takes.
#[derive(Args)]
pub struct ImportArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    #[command(flatten)]
    owner: OwnerArgs,
    /// The file, or - for standard input
    file: PathBuf,
    /// The file is a list of e-mail addresses, no CSV and no workbook
    #[arg(long)]
    addresses: bool,
    /// The encoding of the file, where it is neither UTF-8 nor UTF-16: windows-1252, shift_jis, …
    #[arg(long, value_parser = charset)]
    charset: Option<Charset>,
    /// What to do with records of users who are there already
    #[arg(long, default_value = "fail", value_parser = on_conflict())]
    on_conflict: OnConflict,
    /// What columns are, as POST /users/import takes it: {"Work mail": "email", "Notes": null}
    #[arg(long, value_name = "JSON", default_value = "{}", hide_default_value = true, value_parser = columns)]
    columns: ColumnMap,
    /// On a terminal too: do not show what the columns become, and do not ask
    #[arg(long)]
    yes: bool,
    /// Check everything, store nothing
    #[arg(long)]
    dry_run: bool,
    /// Store all records or, if one is bad, none
    #[arg(long)]
    atomic: bool,
    /// Invite the users that it creates; a running service sends the mails
    #[arg(long)]
    invite: bool,
    /// What PINs and QR codes derive from, for --invite: the keys of the service
    #[arg(long, env = SECRET_KEYS, hide_env_values = true)]
    secret_keys: Option<SecretString>,
}

impl Users {
    /// Does what the command is for.
    pub fn run(self) -> anyhow::Result<()> {
        match self {
            Self::Import(args) => run_import(&args),
        }
    }
}

/// Takes the name of what to do with users who are there already.
fn on_conflict() -> impl TypedValueParser<Value = OnConflict> {
    PossibleValuesParser::new(OnConflict::NAMES)
        .try_map(|name| OnConflict::from_name(&name).ok_or("unknown --on-conflict"))
}

/// Takes what the columns are.
fn columns(text: &str) -> Result<ColumnMap, String> {
    ColumnMap::parse(text).map_err(|flaws| {
        let flaws = flaws.into_iter().map(|(column, flaw)| match column {
            Some(column) => format!("`{column}` {}", flaw.detail),
            None => flaw.detail,
        });
        flaws.collect::<Vec<_>>().join("; ")
    })
}

/// Takes the name of an encoding.
fn charset(name: &str) -> Result<Charset, String> {
    Charset::named(name).ok_or_else(|| format!("known are {KNOWN}"))
}

/// Imports, shows how far it is, and tells what came of it. Fails if a record did.
fn run_import(args: &ImportArgs) -> anyhow::Result<()> {
    let file = open(&args.file).with_context(|| format!("{}", args.file.display()))?;
    let format = if args.addresses {
        Format::Addresses
    } else {
        Format::Csv
    };
    let has_keys = args.secret_keys.is_some() || args.database.is_embedded();
    let keys = (args.invite || has_keys).then(|| {
        keys_of(
            &args.database,
            args.secret_keys.as_ref(),
            "--invite needs the keys of the service",
        )
    });
    let keys = keys.transpose()?;
    if keys.is_none() && !args.dry_run {
        hint(UNSIGNED);
    }
    let is_watched = !args.yes
        && args.file != Path::new("-")
        && io::stdin().is_terminal()
        && io::stdout().is_terminal();
    let looked_at = |charset| {
        let columns = args.columns.clone();
        let upload = Upload::new(file.try_clone()?, format, charset).with_columns(columns);
        let shape = upload.look()?;
        Ok((upload, shape))
    };
    let (upload, shape) = match looked_at(args.charset) {
        Err(ImportError::Detected(detected)) if is_watched && is_right(&detected)? => {
            looked_at(Charset::named(&detected.charset))
        }
        looked_at => looked_at,
    }
    .map_err(explained)?;
    if is_watched && !is_agreed(&shape, args.dry_run)? {
        bail!("nothing was stored");
    }
    let mut report = with_database(&args.database, |url| {
        bring_up(&args.owner.beside(url)?)?;
        block_on(import(url, upload, shape.rows, args, keys))?
    })?;
    if is_watched {
        report
            .warnings
            .retain(|warning| !shape.warnings.contains(warning));
    }
    tell(&report, args.dry_run)?;
    if report.failed > 0 {
        let records = match report.failed {
            1 => "one record".to_owned(),
            failed => format!("{failed} records"),
        };
        let nothing = if args.atomic {
            "; nothing was stored"
        } else {
            ""
        };
        bail!("{records} could not be taken{nothing}");
    }
    Ok(())
}

/// Shows how a file would be read that is not in the encoding that was said, and asks.
fn is_right(detected: &Detected) -> anyhow::Result<bool> {
    say(detected)?;
    says_yes(&format!("Read it as {}?", detected.charset))
}

/// Shows what the columns become, and asks, where anything would be stored.
fn is_agreed(shape: &Shape, dry_run: bool) -> anyhow::Result<bool> {
    for column in &shape.columns {
        say(column)?;
    }
    for warning in &shape.warnings {
        say(format_args!("warning: {warning}"))?;
    }
    if dry_run {
        return Ok(true);
    }
    let records = match shape.rows {
        1 => "one record".to_owned(),
        rows => format!("{rows} records"),
    };
    says_yes(&format!("Import {records}?"))
}

fn says_yes(question: &str) -> anyhow::Result<bool> {
    print(&format!("{question} [y/N] "))?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    let answer = answer.trim();
    Ok(answer.eq_ignore_ascii_case("y") || answer.eq_ignore_ascii_case("yes"))
}

/// The file; standard input is kept in one that has no name, since it is read twice.
fn open(path: &Path) -> io::Result<File> {
    if path == Path::new("-") {
        let mut file = tempfile::tempfile()?;
        io::copy(&mut io::stdin().lock(), &mut file)?;
        return Ok(file);
    }
    let file = File::open(path)?;
    if file.metadata()?.is_file() {
        Ok(file)
    } else {
        Err(io::Error::other("is not a file; use - for standard input"))
    }
}

async fn import(
    url: &str,
    upload: Upload,
    rows: usize,
    args: &ImportArgs,
    keys: Option<KeyRing>,
) -> anyhow::Result<Report> {
    let (db, clock) = (Db::new(url, 2), Clock::system());
    let keys = match keys {
        Some(keys) => {
            let keys = db
                .transaction(move |connection| Ok::<_, DbError>(for_the_shell(connection, keys)))
                .await??;
            if args.invite {
                check_keys(&db, &keys, &clock).await?;
            }
            Some(Arc::new(keys))
        }
        None => None,
    };
    let options = Options {
        on_conflict: args.on_conflict,
        dry_run: args.dry_run,
        atomic: args.atomic,
        trail: Trail::shell(clock.clone(), keys.clone()),
        invite: keys.filter(|_| args.invite),
        lease: None,
    };
    let tools = Tools {
        db,
        hasher: Hasher::default(),
    };
    let progress = Arc::new(Progress::default());
    let shown = tokio::spawn(show(Arc::clone(&progress), rows));
    let watcher = tokio::spawn(until_interrupted(Arc::clone(&progress)));
    let report = import::import(upload, options, tools, progress).await;
    watcher.abort();
    shown.abort();
    // Whatever it drew last is gone before anything else is said.
    let _ = shown.await;
    report.map_err(explained)
}

/// Ctrl-C and SIGTERM let it finish the users that it is storing, so that it can say what it did; a
/// second one ends it at once, which harms nothing either.
async fn until_interrupted(progress: Arc<Progress>) -> anyhow::Result<()> {
    let mut signals = Signals::listen()?;
    signals.next().await;
    progress.stop();
    signals.next().await;
    end(130)
}

/// A bar on a terminal, else a line now and then.
async fn show(progress: Arc<Progress>, rows: usize) {
    if io::stderr().is_terminal() {
        // Of one width all the time: a bar that changes its length is hard to read.
        let style = format!(
            "{{wide_bar}} {{pos:>{}}}/{{len}} {{eta:>3}}",
            rows.to_string().len()
        );
        let style = ProgressStyle::with_template(&style);
        let bar = Clearing(
            ProgressBar::new(rows as u64)
                .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar())),
        );
        loop {
            bar.0.set_position(progress.done() as u64);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        hint(format_args!("{} of {rows} records", progress.done()));
    }
}

/// Takes its bar off the screen at the end.
struct Clearing(ProgressBar);

impl Drop for Clearing {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// What is wrong, in lines for a person.
fn explained(error: ImportError) -> anyhow::Error {
    match error {
        ImportError::Header(faults) => {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            anyhow::anyhow!("{}", faults.join("; "))
        }
        ImportError::Detected(detected) => anyhow::anyhow!(
            "{detected}; if that is right, say --charset {}, else another (ibm850 for CSV of MS-DOS, macintosh), or save \
             the file as CSV UTF-8; nothing was stored",
            detected.charset
        ),
        ImportError::Api(error) => anyhow::anyhow!("{}", error.detail),
        ImportError::Stopped => anyhow::anyhow!("stopped; nothing was stored"),
        ImportError::Partly { report, cause } => {
            // Why it stopped is said in any case.
            let _ = tell(&report, false);
            let why = match *cause {
                ImportError::Stopped => "stopped".to_owned(),
                cause => format!("stopped half-way: {}", explained(cause)),
            };
            anyhow::anyhow!(
                "{why}; what is stored stays, and the same file with --on-conflict skip or update goes on \
                 from there"
            )
        }
        error => error.into(),
    }
}

fn tell(report: &Report, dry_run: bool) -> anyhow::Result<()> {
    for fault in &report.errors {
        hint(fault);
    }
    for warning in &report.warnings {
        hint(format_args!("warning: {warning}"));
    }
    say(format_args!(
        "{}{} created, {} updated, {} skipped, {} failed.",
        if dry_run { "Would be: " } else { "" },
        report.created,
        report.updated,
        report.skipped,
        report.failed
    ))
}
