//! A Postgres of our own, for `dev` and for commands without `DATABASE_URL`: found, made, started,
//! watched and stopped here. Linux only: it reads `/proc`.
//!
//! The data is somebody's, so nothing is traded for speed: fsync stays on, `initdb` works under
//! another name until it is done, and a start first ends what an earlier one left running. Postgres
//! listens on a Unix socket that only its own user (and root) can reach, and gets none of our
//! environment, which may hold secrets.
//!
//! ```text
//! <data dir>/postgres/     or a link to such a folder, where Postgres' user cannot enter the data dir
//!     lock                 held while in use; the pid of the holder
//!     postgres.log         emptied when it grows beyond 16 MiB
//!     data/                the cluster
//!     data.init/           a cluster that is being made or removed
//!     socket/
//! ```

use std::{
    convert::Infallible,
    env, fmt,
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, ErrorKind, Read, Seek, SeekFrom, Write},
    os::unix::{
        ffi::OsStrExt,
        fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown, symlink},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError, Sender},
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use diesel::{Connection, PgConnection, connection::SimpleConnection};
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};
use rustix::process::{Pid, Signal, geteuid, getppid, kill_process};
use tokio::sync::oneshot;

/// Where Debian keeps the binaries: `<major>/bin`.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Where the cluster goes when Postgres' user cannot enter the data directory.
const ELSEWHERE: &str = "/var/lib/enlist";
/// A socket's whole path may have 107 bytes (unix(7)); Postgres adds `/.s.PGSQL.5432` to the folder.
const LONGEST_SOCKET_DIR: usize = 107 - "/.s.PGSQL.5432".len();
/// A log that grew beyond this many bytes is emptied.
const LONGEST_LOG: u64 = 16 << 20;
/// How often the running Postgres is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// A Postgres that ends is started again, but not more often than this within [`RESTARTS_WITHIN`].
const RESTARTS: usize = 5;
const RESTARTS_WITHIN: Duration = Duration::from_secs(60);

/// Why there is no embedded Postgres. Each is one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// A file or directory cannot be used: not writable, disk full.
    #[error("ENLIST_DATA_DIR: cannot {action} {}: {error}", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        error: io::Error,
    },
    /// Another instance holds the lock.
    #[error("ENLIST_DATA_DIR: {} is in use by another enlist{}: stop that one, or give this one a directory of its own", path.display(), Process(*.pid))]
    InUse { path: PathBuf, pid: Option<u32> },
    /// The link leads nowhere: the data was moved or deleted.
    #[error("ENLIST_DATA_DIR: the database that {} leads to is gone: bring it back, or remove the link to begin with an empty one", .0.display())]
    Gone(PathBuf),
    /// A parent directory is closed to Postgres' user.
    #[error("ENLIST_DATA_DIR: the user that runs Postgres (uid {uid}) cannot enter {}: open its parent directories (chmod o+x) or move it", path.display())]
    Unreachable { path: PathBuf, uid: u32 },
    /// Postgres refuses to run as root.
    #[error(
        "Postgres does not run as root, and there is no user `postgres` or `nobody`: run enlist as another user"
    )]
    NoUser,
    /// Nowhere to be found.
    #[error(
        "no Postgres binaries in {searched}: install them (Debian: apt-get install postgresql), name their directory in ENLIST_POSTGRES_BIN, or set DATABASE_URL"
    )]
    NoBinaries { searched: String },
    /// A binary was found and does not run.
    #[error("cannot run {}: {problem}", path.display())]
    NotRunnable { path: PathBuf, problem: String },
    /// The cluster needs binaries of its own major version.
    #[error("the database in {} was made by PostgreSQL {made_by}, and only {found} is here: install that (Debian: apt-get install postgresql-{made_by}) or name its directory in ENLIST_POSTGRES_BIN", path.display())]
    WrongVersion {
        path: PathBuf,
        made_by: String,
        found: String,
    },
    /// `initdb` said no.
    #[error("initdb failed: {0}")]
    Initdb(String),
    /// Processes of an earlier start survive SIGKILL: they hang in the kernel.
    #[error("an earlier Postgres still runs on {} and cannot be ended (processes {pids:?})", path.display())]
    Leftovers { path: PathBuf, pids: Vec<i32> },
    /// It ended while starting, or took too long.
    #[error("Postgres did not start: {problem}; {} ends with: {log}", path.display())]
    NotStarted {
        problem: String,
        path: PathBuf,
        log: String,
    },
    /// It runs, and the database cannot be made in it.
    #[error("cannot create the database in the embedded Postgres: {0}")]
    NoDatabase(String),
    /// It ended again and again.
    #[error("Postgres ended {RESTARTS} times within a minute and is not started again; {} ends with: {log}", path.display())]
    Lost { path: PathBuf, log: String },
    /// It was told to stop while starting, or the thread that watches it is gone.
    #[error("the embedded Postgres is not watched any more")]
    Unwatched,
}

struct Process(Option<u32>);

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |pid| write!(f, " (process {pid})"))
    }
}

/// Makes an [`EmbeddedError::File`] of an [`io::Error`].
fn cannot(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> EmbeddedError {
    let path = path.to_owned();
    move |error| EmbeddedError::File {
        action,
        path,
        error,
    }
}

/// How to run it.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where `postgres` and `initdb` are (`ENLIST_POSTGRES_BIN`). Else they are looked for.
    pub bin_dir: Option<PathBuf>,
    /// Throw away what is stored and begin with an empty database.
    pub fresh: bool,
    /// How long Postgres may take to start. Recovery after a crash may take a minute of a slow disk.
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

/// A running Postgres. It is started again if it ends by itself, and stopped when this is dropped.
#[derive(Debug)]
pub struct Postgres {
    url: String,
    /// Dropped to end the thread.
    running: Option<Sender<Infallible>>,
    /// Spawns Postgres and outlives it: the signal that ends Postgres when we are killed is sent when
    /// the *thread* that spawned it ends (prctl(2), PR_SET_PDEATHSIG).
    thread: Option<JoinHandle<()>>,
    failure: oneshot::Receiver<EmbeddedError>,
}

impl Postgres {
    /// Starts Postgres on `<data_dir>/postgres`; makes the directory, the cluster and the database
    /// where they are missing. Blocks until a connection was made: 0.1 s, or 2 s with `initdb`, longer
    /// when there is something to recover.
    ///
    /// # Errors
    /// See [`EmbeddedError`]. Nothing is left running then.
    pub fn start(data_dir: &Path, options: Options) -> Result<Self, EmbeddedError> {
        let (running, stop) = mpsc::channel();
        let (report, started) = mpsc::channel();
        let (failed, failure) = oneshot::channel();
        let data_dir = data_dir.to_owned();
        let thread = thread::Builder::new()
            .name("postgres-watch".into())
            .spawn(move || {
                let started = Cluster::open(&data_dir, &options)
                    .and_then(|cluster| Ok((cluster.start(&stop)?, cluster)));
                // Whoever asked waits for the answer: sending cannot fail.
                match started {
                    Ok((server, cluster)) => {
                        let _ = report.send(Ok(cluster.url("enlist")));
                        if let Some(error) = cluster.watch(server, &stop) {
                            tracing::error!("{error}");
                            let _ = failed.send(error);
                        }
                    }
                    Err(error) => {
                        let _ = report.send(Err(error));
                    }
                }
            })
            .map_err(cannot("start a thread for", Path::new("postgres")))?;
        let url = started.recv().unwrap_or(Err(EmbeddedError::Unwatched))?;
        Ok(Self {
            url,
            running: Some(running),
            thread: Some(thread),
            failure,
        })
    }

    /// The database, as a libpq URL. It stays the same when Postgres is started again.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Waits until Postgres is gone for good: it ended too often to start it once more. Then the
    /// service should end, with this error. May be dropped and called again, but not after it gave
    /// its answer.
    pub async fn gave_up(&mut self) -> EmbeddedError {
        (&mut self.failure)
            .await
            .unwrap_or(EmbeddedError::Unwatched)
    }

    /// Stops Postgres: connections are ended, everything is written. Blocks for as long as that takes,
    /// half a minute at worst; after 20 s Postgres is made to end, and recovers at the next start.
    /// The same as dropping it, said aloud.
    pub fn stop(self) {
        drop(self);
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.running = None;
        if let Some(thread) = self.thread.take() {
            // A panic there was printed there, and ended Postgres.
            let _ = thread.join();
        }
    }
}

/// The URL of the Postgres that another instance runs on `data_dir`, if it answers: for commands
/// beside a running service.
pub fn url_of_running(data_dir: &Path) -> Option<String> {
    let data = data_dir.join("postgres/data");
    let socket = PidFile::read(&data)?.line(5)?.to_owned();
    let url = url(Path::new(&socket), "enlist");
    PgConnection::establish(&url).ok().map(|_| url)
}

/// The files of a Postgres, and how to run it on them.
struct Cluster {
    home: PathBuf,
    data: PathBuf,
    socket: PathBuf,
    bin: PathBuf,
    account: Option<Account>,
    start_within: Duration,
    /// Unlocked when it is closed.
    _lock: File,
}

impl Cluster {
    /// Takes the lock and makes what is missing.
    fn open(data_dir: &Path, options: &Options) -> Result<Self, EmbeddedError> {
        let home = home(data_dir)?;
        let account = Account::of(&home)?;
        if let Some(account) = account.filter(|account| !account.reaches(&home)) {
            return Err(EmbeddedError::Unreachable {
                path: home,
                uid: account.uid,
            });
        }
        let lock = lock(&home, account)?;
        let data = home.join("data");
        let is_made = data.try_exists().map_err(cannot("look at", &data))? && !options.fresh;
        let bin = binaries(options, account, is_made.then_some(&data))?;
        if !is_made {
            make(&data, &bin, account)?;
        }
        let socket = socket_dir(&home, account)?;
        Ok(Self {
            home,
            data,
            socket,
            bin,
            account,
            start_within: options.start_within,
            _lock: lock,
        })
    }

    fn url(&self, database: &str) -> String {
        url(&self.socket, database)
    }

    fn log_path(&self) -> PathBuf {
        self.home.join("postgres.log")
    }

    /// Starts Postgres and waits until it answers. Tries again when another one had the directory after
    /// all: one that an instance started the moment it was killed is not seen there at first.
    fn start(&self, stop: &Receiver<Infallible>) -> Result<Child, EmbeddedError> {
        let mut tries_left = 5;
        loop {
            match self.try_start(stop) {
                Err(EmbeddedError::NotStarted { log, .. })
                    if tries_left > 0 && log.contains("postmaster.pid") =>
                {
                    tries_left -= 1;
                    if is_told_to_stop(stop, LOOK_EVERY) {
                        return Err(EmbeddedError::Unwatched);
                    }
                }
                result => return result,
            }
        }
    }

    /// Ends what is left of an earlier run, starts Postgres and waits until it answers.
    fn try_start(&self, stop: &Receiver<Infallible>) -> Result<Child, EmbeddedError> {
        end_leftovers(&self.data)?;
        if forget_stale_pid(&self.data)? {
            // It names the same process. It may not be there.
            let _ = fs::remove_file(self.socket.join(".s.PGSQL.5432.lock"));
        }
        self.trim_log();
        let log_path = self.log_path();
        let log = open(&log_path, self.account, OpenOptions::new().append(true))?;
        let log_from = log.metadata().map_err(cannot("look at", &log_path))?.len();
        let log_too = log.try_clone().map_err(cannot("write", &log_path))?;
        let program = self.bin.join("postgres");
        let cores = thread::available_parallelism().map_or(2, usize::from);
        let mut command = command(&program, self.account, Signal::INT);
        command.arg("-D").arg(&self.data);
        for setting in [
            "listen_addresses=",
            // Always said, since PGPORT would change it.
            "port=5432",
            &format!("unix_socket_directories=\"{}\"", self.socket.display()),
            "unix_socket_permissions=0700",
            // The service's pool has two for each core.
            &format!("max_connections={}", 40 + 2 * cores),
            "shared_buffers=64MB",
            "max_wal_size=256MB",
            "jit=off",
            "log_checkpoints=off",
            "logging_collector=off",
            "log_destination=stderr",
        ] {
            command.arg("-c").arg(setting);
        }
        let mut server = command
            .stdout(log_too)
            .stderr(log)
            .spawn()
            .map_err(|error| not_runnable(&program, &error.to_string()))?;
        let problem = match self.wait_until_ready(&mut server, stop) {
            Ok(None) => return Ok(server),
            Ok(Some(problem)) => Ok(problem),
            Err(error) => Err(error),
        };
        end(&mut server);
        Err(EmbeddedError::NotStarted {
            problem: problem?,
            log: self.last_words(log_from),
            path: log_path,
        })
    }

    /// Waits for a connection; gives what is wrong if there will be none.
    fn wait_until_ready(
        &self,
        server: &mut Child,
        stop: &Receiver<Infallible>,
    ) -> Result<Option<String>, EmbeddedError> {
        let begun = Instant::now();
        loop {
            match server.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => return Ok(Some(format!("it ended with {status}"))),
                Err(error) => return Ok(Some(format!("it cannot be waited for: {error}"))),
            }
            // The file of an earlier run may be there still, so it must name this very process.
            let is_ready = PidFile::read(&self.data).is_some_and(|file| {
                file.pid() == Some(Pid::from_child(server)) && file.line(8) == Some("ready")
            });
            if is_ready && self.has_database()? {
                return Ok(None);
            }
            if begun.elapsed() > self.start_within {
                let limit = self.start_within.as_secs();
                return Ok(Some(format!("it did not answer within {limit} s")));
            }
            if is_told_to_stop(stop, Duration::from_millis(10)) {
                return Err(EmbeddedError::Unwatched);
            }
        }
    }

    /// Whether the database can be connected to; makes it if only that is missing.
    fn has_database(&self) -> Result<bool, EmbeddedError> {
        let is_there = || PgConnection::establish(&self.url("enlist")).is_ok();
        if is_there() {
            return Ok(true);
        }
        let Ok(mut connection) = PgConnection::establish(&self.url("postgres")) else {
            return Ok(false);
        };
        connection
            .batch_execute("CREATE DATABASE enlist")
            .map_err(|error| EmbeddedError::NoDatabase(one_line(&error.to_string())))?;
        Ok(is_there())
    }

    /// Starts Postgres again whenever it ends, until told to stop. Gives the error it gave up with.
    fn watch(&self, mut server: Child, stop: &Receiver<Infallible>) -> Option<EmbeddedError> {
        let mut restarts: Vec<Instant> = Vec::new();
        loop {
            let mut ended = None;
            while ended.is_none() {
                if is_told_to_stop(stop, LOOK_EVERY) {
                    end(&mut server);
                    // Only one under /tmp goes: it is as empty as it was found.
                    if !self.socket.starts_with(&self.home) {
                        let _ = fs::remove_dir(&self.socket);
                    }
                    return None;
                }
                ended = server.try_wait().transpose();
                self.trim_log();
            }
            let ended =
                ended.map(|status| status.map_or_else(|e| e.to_string(), |s| s.to_string()));
            tracing::error!(
                "Postgres ended ({}); starting it again",
                ended.unwrap_or_default()
            );
            server = loop {
                restarts.retain(|then| then.elapsed() < RESTARTS_WITHIN);
                if restarts.len() == RESTARTS {
                    return Some(EmbeddedError::Lost {
                        log: self.last_words(0),
                        path: self.log_path(),
                    });
                }
                restarts.push(Instant::now());
                match self.start(stop) {
                    Ok(server) => break server,
                    Err(EmbeddedError::Unwatched) => return None,
                    Err(error) => tracing::error!("{error}"),
                }
                if is_told_to_stop(stop, Duration::from_secs(1)) {
                    return None;
                }
            };
        }
    }

    /// Empties a log that grew too long. Postgres appends, so it goes on at the beginning.
    fn trim_log(&self) {
        let path = self.log_path();
        if fs::metadata(&path).is_ok_and(|log| log.len() > LONGEST_LOG) {
            // If it cannot be done now, it is tried again soon.
            let _ = OpenOptions::new().write(true).truncate(true).open(&path);
        }
    }

    /// What Postgres last said, at most 16 KiB back and not before the byte `from` of its log.
    fn last_words(&self, from: u64) -> String {
        let read = || -> io::Result<Vec<u8>> {
            let mut log = File::open(self.log_path())?;
            let from = from.max(log.metadata()?.len().saturating_sub(16 << 10));
            log.seek(SeekFrom::Start(from))?;
            let mut bytes = Vec::new();
            log.read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map_or_else(|error| error.to_string(), |bytes| last_words(&bytes))
    }
}

/// The user that Postgres runs as when we are root, as it refuses to run as that.
#[derive(Debug, Clone, Copy)]
struct Account {
    uid: u32,
    gid: u32,
}

impl Account {
    /// Whoever owns the data that is there; else `postgres`, else `nobody`. None if we are not root:
    /// then Postgres runs as we do.
    fn of(home: &Path) -> Result<Option<Self>, EmbeddedError> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let owner = [home.join("data"), home.to_owned()]
            .iter()
            .filter_map(|dir| fs::metadata(dir).ok())
            .map(|dir| (dir.uid(), dir.gid()))
            .find(|(uid, _)| *uid != 0);
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let named = |name| {
            users.lines().find_map(|line| {
                // name:password:uid:gid:… (passwd(5))
                let mut fields = line.split(':');
                (fields.next()? == name).then_some(())?;
                Some((fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?))
            })
        };
        let (uid, gid) = owner
            .or_else(|| named("postgres"))
            .or_else(|| named("nobody"))
            .ok_or(EmbeddedError::NoUser)?;
        Ok(Some(Self { uid, gid }))
    }

    /// Whether the mode bits let this user through `dir` and all its parents (path_resolution(7)).
    fn reaches(&self, dir: &Path) -> bool {
        dir.ancestors().all(|dir| {
            fs::metadata(dir).is_ok_and(|dir| {
                let class = match () {
                    () if dir.uid() == self.uid => 6,
                    () if dir.gid() == self.gid => 3,
                    () => 0,
                };
                (dir.mode() >> class) & 1 == 1
            })
        })
    }
}

/// Where everything is: `<data_dir>/postgres`, made if it is not there. Where Postgres' user cannot
/// enter the data directory (root's clone under `/root`), it becomes a link to a folder that can be
/// entered. The link is what counts from then on, so the data stays found whatever modes change.
fn home(data_dir: &Path) -> Result<PathBuf, EmbeddedError> {
    fs::create_dir_all(data_dir).map_err(cannot("create", data_dir))?;
    let data_dir = data_dir
        .canonicalize()
        .map_err(cannot("look at", data_dir))?;
    let home = data_dir.join("postgres");
    if let Err(error) = fs::symlink_metadata(&home) {
        if error.kind() != ErrorKind::NotFound {
            return Err(cannot("look at", &home)(error));
        }
        let made = match Account::of(&home)? {
            None => make_dir(&home, 0o700),
            Some(account) if account.reaches(&data_dir) => make_dir(&home, 0o711),
            Some(_) => {
                let elsewhere = make_elsewhere(&data_dir)?;
                tracing::info!(
                    "Postgres' user cannot enter {}: the database is kept in {}",
                    data_dir.display(),
                    elsewhere.display()
                );
                symlink(&elsewhere, &home)
            }
        };
        // Another instance may have been faster; the lock decides between the two.
        made.or_else(unless(ErrorKind::AlreadyExists))
            .map_err(cannot("create", &home))?;
    }
    match home.canonicalize() {
        Ok(home) => Ok(home),
        Err(error) if error.kind() == ErrorKind::NotFound => Err(EmbeddedError::Gone(home)),
        Err(error) => Err(cannot("look at", &home)(error)),
    }
}

/// A new folder under [`ELSEWHERE`], named for people after the data directory. One that is there
/// already belongs to a data directory that was deleted or moved: it is neither used nor removed.
fn make_elsewhere(data_dir: &Path) -> Result<PathBuf, EmbeddedError> {
    let shared = Path::new(ELSEWHERE);
    make_dir(shared, 0o755)
        .or_else(unless(ErrorKind::AlreadyExists))
        .map_err(cannot("create", shared))?;
    let path = data_dir.to_string_lossy().replace(
        |c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_',
        "-",
    );
    // Short enough for the socket in it: see LONGEST_SOCKET_DIR.
    let name = path[path.len().saturating_sub(50)..].trim_matches('-');
    let mut home = shared.join(name);
    let mut number = 1;
    loop {
        match make_dir(&home, 0o711) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                number += 1;
                home = shared.join(format!("{name}-{number}"));
            }
            made => return made.map(|()| home.clone()).map_err(cannot("create", &home)),
        }
    }
}

/// Makes a directory with exactly this mode, whatever the umask.
fn make_dir(dir: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(dir)?;
    fs::set_permissions(dir, Permissions::from_mode(mode))
}

/// Makes a directory that only Postgres' user can enter, unless it is there.
fn make_private_dir(dir: &Path, account: Option<Account>) -> io::Result<()> {
    make_dir(dir, 0o700).or_else(unless(ErrorKind::AlreadyExists))?;
    account.map_or(Ok(()), |Account { uid, gid }| {
        lchown(dir, Some(uid), Some(gid))
    })
}

fn unless(kind: ErrorKind) -> impl Fn(io::Error) -> io::Result<()> {
    move |error| match error.kind() == kind {
        true => Ok(()),
        false => Err(error),
    }
}

/// Opens or creates a file that belongs to Postgres' user.
fn open(
    path: &Path,
    account: Option<Account>,
    options: &mut OpenOptions,
) -> Result<File, EmbeddedError> {
    let mut open = || {
        let file = options.create(true).mode(0o600).open(path)?;
        if let Some(Account { uid, gid }) = account {
            fchown(&file, Some(uid), Some(gid))?;
        }
        Ok(file)
    };
    open().map_err(cannot("write", path))
}

/// Takes the lock (flock(2)), which ends with our process, however that ends.
fn lock(home: &Path, account: Option<Account>) -> Result<File, EmbeddedError> {
    let path = home.join("lock");
    let mut file = open(&path, account, OpenOptions::new().read(true).write(true))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            return Err(EmbeddedError::InUse {
                path: home.to_owned(),
                pid: holder.trim().parse().ok(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(cannot("lock", &path)(error)),
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(cannot("write", &path))?;
    Ok(file)
}

/// Finds binaries: in the configured directory, else the newest that Debian installed, else in PATH.
/// Data that is there already needs those of the major version that made it.
fn binaries(
    options: &Options,
    account: Option<Account>,
    data: Option<&PathBuf>,
) -> Result<PathBuf, EmbeddedError> {
    let made_by = match data.map(|data| data.join("PG_VERSION")) {
        Some(path) => Some(fs::read_to_string(&path).map_err(cannot("read", &path))?),
        None => None,
    };
    let made_by = made_by.as_deref().map(str::trim);
    let dirs = match &options.bin_dir {
        Some(dir) => vec![std::path::absolute(dir).map_err(cannot("find", dir))?],
        None => installed(),
    };
    let mut found = None;
    for dir in dirs {
        let program = dir.join("postgres");
        if !program.is_file() || !dir.join("initdb").is_file() {
            continue;
        }
        let output = command(&program, account, Signal::KILL)
            .arg("--version")
            .output()
            .map_err(|error| not_runnable(&program, &error.to_string()))?;
        // postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)
        let text = String::from_utf8_lossy(&output.stdout);
        let major: String = text
            .trim_start_matches("postgres (PostgreSQL) ")
            .chars()
            .take_while(char::is_ascii_digit)
            .collect();
        if major.is_empty() {
            return Err(not_runnable(&program, &last_words(&output.stderr)));
        }
        if made_by.is_none_or(|made_by| made_by == major) {
            return Ok(dir);
        }
        found.get_or_insert(major);
    }
    match (found, data, made_by) {
        (Some(found), Some(data), Some(made_by)) => Err(EmbeddedError::WrongVersion {
            path: data.clone(),
            made_by: made_by.to_owned(),
            found,
        }),
        _ => Err(EmbeddedError::NoBinaries {
            searched: options.bin_dir.as_ref().map_or_else(
                || format!("{DEBIAN}/*/bin or PATH"),
                |dir| dir.display().to_string(),
            ),
        }),
    }
}

/// Where binaries may be, best first.
fn installed() -> Vec<PathBuf> {
    let mut majors: Vec<u32> = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    majors.sort_unstable_by(|a, b| b.cmp(a));
    let debian = majors
        .iter()
        .map(|major| Path::new(DEBIAN).join(major.to_string()).join("bin"));
    let path = env::var_os("PATH").unwrap_or_default();
    debian.chain(env::split_paths(&path)).collect()
}

fn not_runnable(program: &Path, problem: &str) -> EmbeddedError {
    EmbeddedError::NotRunnable {
        path: program.to_owned(),
        problem: problem.to_owned(),
    }
}

/// A command that runs as Postgres' user, out of reach of the terminal's Ctrl-C, and gets `death` when
/// the thread that spawns it ends, be it by `kill -9`.
#[allow(unsafe_code)]
fn command(program: &Path, account: Option<Account>, death: Signal) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .envs(
            ["PATH", "LD_LIBRARY_PATH", "TZ"]
                .iter()
                .filter_map(|name| Some((name, env::var_os(name)?))),
        )
        .env("LC_ALL", "C")
        .current_dir("/")
        .stdin(Stdio::null())
        .process_group(0);
    if let Some(Account { uid, gid }) = account {
        command.uid(uid).gid(gid);
    }
    let parent = Pid::from_raw(std::process::id().cast_signed());
    // SAFETY: between fork and exec only async-signal-safe calls are allowed. These are two plain
    // system calls; nothing is allocated, locked or dropped. It runs after the change of user, which
    // would undo it.
    unsafe {
        command.pre_exec(move || {
            rustix::process::set_parent_process_death_signal(Some(death))?;
            match getppid() == parent {
                true => Ok(()),
                // We were killed before the signal was asked for.
                false => Err(ErrorKind::BrokenPipe.into()),
            }
        });
    }
    command
}

/// Makes the cluster under another name first, so that a half-made one is never taken for data; also
/// when it is to be made anew.
fn make(data: &Path, bin: &Path, account: Option<Account>) -> Result<(), EmbeddedError> {
    let init = data.with_extension("init");
    let clear = || fs::remove_dir_all(&init).or_else(unless(ErrorKind::NotFound));
    end_leftovers(&init)?;
    clear().map_err(cannot("remove", &init))?;
    end_leftovers(data)?;
    fs::rename(data, &init)
        .or_else(unless(ErrorKind::NotFound))
        .and_then(|()| clear())
        .map_err(cannot("remove", data))?;

    make_private_dir(&init, account).map_err(cannot("create", &init))?;
    let program = bin.join("initdb");
    let output = command(&program, account, Signal::KILL)
        .arg("-D")
        .arg(&init)
        .args(["-U", "enlist", "-A", "trust", "-E", "UTF8", "--locale=C"])
        .output()
        .map_err(|error| not_runnable(&program, &error.to_string()))?;
    if !output.status.success() {
        let said = [output.stdout, output.stderr].concat();
        return Err(EmbeddedError::Initdb(last_words(&said)));
    }
    fs::rename(&init, data)
        .and_then(|()| File::open(data.parent().unwrap_or(data))?.sync_all())
        .map_err(cannot("create", data))?;
    tracing::info!("made a database in {}", data.display());
    Ok(())
}

/// A directory for the socket that only Postgres' user can enter: beside the data, or under `/tmp`
/// where the path is too long for a socket or has what libpq and Postgres take for a list.
fn socket_dir(home: &Path, account: Option<Account>) -> Result<PathBuf, EmbeddedError> {
    let near = home.join("socket");
    let is_plain = near
        .to_str()
        .is_some_and(|path| path.len() <= LONGEST_SOCKET_DIR && !path.contains([',', '"', '\n']));
    if is_plain {
        make_private_dir(&near, account).map_err(cannot("create", &near))?;
        return Ok(near);
    }
    // The same name at every start, as long as nobody else took it.
    let id = fs::metadata(home).map_err(cannot("look at", home))?;
    let owner = account.map_or(geteuid().as_raw(), |account| account.uid);
    let mut number = 0;
    loop {
        let dir = PathBuf::from(format!(
            "/tmp/enlist-{:x}-{:x}-{number}",
            id.dev(),
            id.ino()
        ));
        match make_dir(&dir, 0o700) {
            Ok(()) => make_private_dir(&dir, account).map_err(cannot("create", &dir))?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(cannot("create", &dir)(error)),
        }
        let is_ours = fs::symlink_metadata(&dir)
            .is_ok_and(|dir| dir.is_dir() && dir.uid() == owner && dir.mode() & 0o077 == 0);
        if is_ours {
            return Ok(dir);
        }
        number += 1;
    }
}

fn url(socket: &Path, database: &str) -> String {
    let host = percent_encode(socket.as_os_str().as_bytes(), NON_ALPHANUMERIC);
    format!("postgres://enlist@/{database}?host={host}&port=5432")
}

/// Postgres' `postmaster.pid`. It is there while Postgres runs, and still there after it was killed.
struct PidFile(String);

impl PidFile {
    fn read(data: &Path) -> Option<Self> {
        fs::read_to_string(data.join("postmaster.pid"))
            .ok()
            .map(Self)
    }

    /// A line, counted from 1: the process, …, 5 the socket's directory, …, 8 the state.
    fn line(&self, number: usize) -> Option<&str> {
        self.0.lines().nth(number - 1).map(str::trim)
    }

    fn pid(&self) -> Option<Pid> {
        // Negative in a single-user session.
        let pid: i32 = self.line(1)?.parse().ok()?;
        Pid::from_raw(pid.checked_abs()?)
    }
}

/// The processes of any Postgres that works in this directory, ours or not: whoever holds the lock is
/// the only one who may.
fn leftovers(data: &Path) -> Vec<Pid> {
    let Ok(data) = fs::metadata(data) else {
        return Vec::new();
    };
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?))
        .filter(|pid| {
            // By number, since paths differ between mount namespaces.
            is_postgres(*pid)
                && fs::metadata(format!("/proc/{pid}/cwd"))
                    .is_ok_and(|cwd| (cwd.dev(), cwd.ino()) == (data.dev(), data.ino()))
        })
        .collect()
}

fn is_postgres(pid: Pid) -> bool {
    // One that was killed and that nobody has waited for yet (a container without an init) has its
    // name still, and runs no more: `Z` in proc(5), behind the name in parentheses.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(name, rest)| {
        name.ends_with("(postgres") && !rest.trim_start().starts_with(['Z', 'X'])
    })
}

/// Ends them. After `kill -9` of us Postgres is about to end by itself; after `kill -9` of the
/// postmaster its busy children go on, and would keep a new one from starting for minutes.
fn end_leftovers(data: &Path) -> Result<(), EmbeddedError> {
    let all = leftovers(data);
    if all.is_empty() {
        return Ok(());
    }
    tracing::warn!(
        "ending {} processes that an earlier Postgres left",
        all.len()
    );
    // It ends its children in good order. Without it they have to be told.
    let postmaster = PidFile::read(data)
        .and_then(|file| file.pid())
        .filter(|pid| all.contains(pid));
    for (signal, patience) in [(Signal::INT, 10), (Signal::QUIT, 5), (Signal::KILL, 5)] {
        let told = match (signal, postmaster) {
            (Signal::INT, None) => continue,
            (Signal::INT, Some(postmaster)) => vec![postmaster],
            _ => leftovers(data),
        };
        for pid in told {
            // It may be gone by now.
            let _ = kill_process(pid, signal);
        }
        if comes_true(Duration::from_secs(patience), || leftovers(data).is_empty()) {
            return Ok(());
        }
    }
    Err(EmbeddedError::Leftovers {
        path: data.to_owned(),
        pids: leftovers(data).iter().map(|pid| pid.as_raw_pid()).collect(),
    })
}

/// Removes a `postmaster.pid` whose process is another one today (after a reboot, or in a container
/// that was made anew): Postgres would take it for a postmaster and refuse to start. If that process
/// might be one after all, Postgres decides. Gives whether it was another one.
fn forget_stale_pid(data: &Path) -> Result<bool, EmbeddedError> {
    let Some(pid) = PidFile::read(data).and_then(|file| file.pid()) else {
        return Ok(false);
    };
    // No leftover, so a Postgres whose directory can be seen works elsewhere.
    let is_another = !is_postgres(pid) || fs::metadata(format!("/proc/{pid}/cwd")).is_ok();
    if is_another {
        let path = data.join("postmaster.pid");
        fs::remove_file(&path).map_err(cannot("remove", &path))?;
    }
    Ok(is_another)
}

/// Ends a Postgres of ours: in order, at once, by force.
fn end(server: &mut Child) {
    for (signal, patience) in [(Signal::INT, 20), (Signal::QUIT, 7), (Signal::KILL, 5)] {
        // Not signaled once it was waited for: its number may be another's then.
        let mut has_ended = || !matches!(server.try_wait(), Ok(None));
        if has_ended() {
            return;
        }
        let _ = kill_process(Pid::from_child(server), signal);
        let mut has_ended = || !matches!(server.try_wait(), Ok(None));
        if comes_true(Duration::from_secs(patience), &mut has_ended) {
            return;
        }
        tracing::warn!("Postgres did not end within {patience} s of {signal:?}");
    }
}

fn comes_true(within: Duration, mut test: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while begun.elapsed() < within {
        if test() {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
    test()
}

/// Waits this long, or until told to stop.
fn is_told_to_stop(stop: &Receiver<Infallible>, wait: Duration) -> bool {
    stop.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected)
}

/// The last lines that matter of what a program of Postgres' said, as one.
fn last_words(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let said: Vec<&str> = said
        .lines()
        .filter(|line| !line.trim().is_empty())
        .collect();
    let telling: Vec<&str> = said
        .iter()
        .copied()
        .filter(|line| {
            ["FATAL", "PANIC", "rror:", "HINT"]
                .iter()
                .any(|word| line.contains(word))
        })
        .collect();
    let lines = if telling.is_empty() { said } else { telling };
    match lines.as_slice() {
        [] => "(nothing)".to_owned(),
        [.., a, b] => one_line(&format!("{a}\n{b}")),
        [a] => one_line(a),
    }
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}
