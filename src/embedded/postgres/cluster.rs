//! The cluster: the data on disk, made by `initdb` where it is missing, and all that is needed to run
//! Postgres on it.

use std::{
    fs::{self, File},
    io::ErrorKind,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::Signal;

use super::{
    account::Account,
    binaries::binaries,
    error::{Result, cannot, failed, unless},
    home::{home, lock, make_private_dir, socket_dir},
    last_words::last_words,
    leftovers::end_leftovers,
    process::{command, not_runnable},
    url::url,
};

/// How to run Postgres.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where `postgres` and `initdb` are (`ENLIST_POSTGRES_BIN`). Without it they are looked for.
    pub bin_dir: Option<PathBuf>,
    /// Whether to throw away what is stored and begin with an empty database.
    pub fresh: bool,
    /// How long Postgres may take to start. Recovery after a crash may take a slow disk a minute.
    pub start_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            bin_dir: None,
            fresh: false,
            start_within: Duration::from_secs(120),
        }
    }
}

/// The files of a Postgres, and how to run it on them.
pub(super) struct Cluster {
    pub(super) data: PathBuf,
    pub(super) log: PathBuf,
    pub(super) socket: PathBuf,
    pub(super) bin: PathBuf,
    pub(super) account: Option<Account>,
    pub(super) start_within: Duration,
    /// Closed when this is dropped, which unlocks it.
    _lock: File,
}

impl Cluster {
    /// Takes the lock and makes what is missing.
    pub(super) fn open(data_dir: &Path, options: &Options) -> Result<Self> {
        let home = home(data_dir)?;
        let account = Account::of(&home)?;
        if let Some(Account { uid, .. }) = account.filter(|account| !account.reaches(&home)) {
            return failed(format!(
                "ENLIST_DATA_DIR: Postgres' user (uid {uid}) cannot enter {}: open its parent \
                 directories to it (chmod o+x), or move it",
                home.display()
            ));
        }
        let lock = lock(&home, account)?;
        let data = home.join("data");
        let is_made = data.try_exists().map_err(cannot("look at", &data))? && !options.fresh;
        let bin = binaries(
            options.bin_dir.as_deref(),
            account,
            is_made.then_some(&data),
        )?;
        if !is_made {
            make(&data, &bin, account)?;
        }
        Ok(Self {
            data,
            log: home.join("postgres.log"),
            socket: socket_dir(&home, account)?,
            bin,
            account,
            start_within: options.start_within,
            _lock: lock,
        })
    }

    /// The URL of one of its databases.
    pub(super) fn url(&self, database: &str) -> String {
        url(&self.socket, database)
    }
}

/// Makes the cluster, or makes it anew. It has another name until it is done, so that a half-made one is
/// never taken for data.
fn make(data: &Path, bin: &Path, account: Option<Account>) -> Result<()> {
    let init = data.with_extension("init");
    let clear = || fs::remove_dir_all(&init).or_else(unless(ErrorKind::NotFound));
    end_leftovers(&init)?;
    end_leftovers(data)?;
    clear()
        .and_then(|()| fs::rename(data, &init).or_else(unless(ErrorKind::NotFound)))
        .and_then(|()| clear())
        .and_then(|()| make_private_dir(&init, account))
        .map_err(cannot("make anew", &init))?;
    let program = bin.join("initdb");
    let output = command(&program, account, Signal::KILL)
        .arg("-D")
        .arg(&init)
        .args(["-U", "enlist", "-A", "trust", "-E", "UTF8", "--locale=C"])
        .output()
        .or_else(|error| not_runnable(&program, &error.to_string()))?;
    if !output.status.success() {
        return failed(format!("initdb failed: {}", last_words(&output.stderr)));
    }
    fs::rename(&init, data)
        .and_then(|()| File::open(data.parent().unwrap_or(data))?.sync_all())
        .map_err(cannot("create", data))?;
    tracing::info!("made a database in {}", data.display());
    Ok(())
}
