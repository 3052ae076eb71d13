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
    env,
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
use rustix::process::{
    Pid, Signal, geteuid, getppid, kill_process, set_parent_process_death_signal,
};
use tokio::sync::oneshot;

/// Where Debian keeps the binaries: `<major>/bin`.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Where the cluster goes when Postgres' user cannot enter the data directory.
const ELSEWHERE: &str = "/var/lib/enlist";
/// A socket's path may have 107 bytes (unix(7)), and Postgres adds a name to the folder's.
const LONGEST_SOCKET_DIR: usize = 107 - "/.s.PGSQL.5432".len();
/// Where Postgres says that it uses the data or the socket. Both stay there when it is killed.
const PID_FILE: &str = "postmaster.pid";
const SOCKET_LOCK: &str = ".s.PGSQL.5432.lock";
/// A log that grew beyond this many bytes is emptied.
const LONGEST_LOG: u64 = 16 << 20;
/// What Postgres says when another one uses its directory or its socket.
const IN_THE_WAY: [&str; 2] = ["already exists", "still in use"];
/// How often the running Postgres is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often a Postgres that ended by itself is started again within a minute.
const RESTARTS: usize = 5;
const MINUTE: Duration = Duration::from_secs(60);

/// Why there is no embedded Postgres: one line for the operator.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// Another instance holds the lock. [`url_of_running`] may lead to its database.
    #[error("ENLIST_DATA_DIR: {0}")]
    InUse(String),
    /// Anything else. A program can do nothing about it; the line tells a person what to do.
    #[error("{0}")]
    Failed(String),
}

type Result<T> = std::result::Result<T, EmbeddedError>;

fn failed<T>(line: impl Into<String>) -> Result<T> {
    Err(EmbeddedError::Failed(line.into()))
}

/// Makes an error of what went wrong with a file: not writable, disk full.
fn cannot(action: &str, path: &Path) -> impl FnOnce(io::Error) -> EmbeddedError {
    let tried = format!("ENLIST_DATA_DIR: cannot {action} {}", path.display());
    move |error| EmbeddedError::Failed(format!("{tried}: {error}"))
}

/// Takes one kind of failure for success.
fn unless(kind: ErrorKind) -> impl Fn(io::Error) -> io::Result<()> {
    move |error| {
        if error.kind() == kind {
            Ok(())
        } else {
            Err(error)
        }
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
    /// the *thread* that spawned it ends (`PR_SET_PDEATHSIG`, prctl(2)).
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
    pub fn start(data_dir: &Path, options: Options) -> Result<Self> {
        let (running, stop) = mpsc::channel();
        let (report, started) = mpsc::channel();
        let (give_up, failure) = oneshot::channel();
        let data_dir = data_dir.to_owned();
        let watch = move || {
            let started = Cluster::open(&data_dir, &options)
                .and_then(|cluster| Ok((cluster.start(&stop)?, cluster)));
            // Both receivers may be gone when nobody wants to know any more.
            let _ = match started {
                Ok((Some(server), cluster)) => {
                    let _ = report.send(Ok(cluster.url("enlist")));
                    match cluster.watch(server, &stop) {
                        Some(error) => give_up.send(error).map_err(drop),
                        None => Ok(()),
                    }
                }
                Ok((None, _)) => Ok(()),
                Err(error) => report.send(Err(error)).map_err(drop),
            };
        };
        let thread = thread::Builder::new()
            .name("postgres-watch".into())
            .spawn(watch)
            .map_err(cannot("start a thread for", Path::new("postgres")))?;
        // Without an answer the thread panicked: that was printed.
        let url = started
            .recv()
            .unwrap_or_else(|_| failed("Postgres is not watched"))?;
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
    /// service should end, with this error. The wait may be dropped and begun again, but not after it
    /// gave its answer.
    pub async fn gave_up(&mut self) -> EmbeddedError {
        (&mut self.failure)
            .await
            .unwrap_or_else(|_| EmbeddedError::Failed("Postgres is not watched any more".into()))
    }

    /// Stops Postgres: connections are ended, everything is written. Blocks for as long as that takes,
    /// half a minute at worst: after 20 s Postgres is made to end, and recovers at the next start.
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
    let socket = line(&data_dir.join("postgres/data").join(PID_FILE), 5)?;
    let url = url(Path::new(&socket), "enlist");
    PgConnection::establish(&url).ok().map(|_| url)
}

/// The files of a Postgres, and how to run it on them.
struct Cluster {
    data: PathBuf,
    log: PathBuf,
    socket: PathBuf,
    bin: PathBuf,
    account: Option<Account>,
    start_within: Duration,
    /// Unlocked when it is closed.
    _lock: File,
}

impl Cluster {
    /// Takes the lock and makes what is missing.
    fn open(data_dir: &Path, options: &Options) -> Result<Self> {
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
        let bin = binaries(options, account, is_made.then_some(&data))?;
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

    fn url(&self, database: &str) -> String {
        url(&self.socket, database)
    }

    /// Starts Postgres and waits until it answers. None if told to stop. Tries again when another one
    /// was in the way after all: one that was started a moment before its enlist was killed is not
    /// seen at first.
    fn start(&self, stop: &Receiver<Infallible>) -> Result<Option<Child>> {
        let mut tries_left = 5;
        loop {
            match self.try_start(stop) {
                Err(EmbeddedError::Failed(line))
                    if tries_left > 0 && IN_THE_WAY.iter().any(|words| line.contains(words)) =>
                {
                    tries_left -= 1;
                    if is_told_to_stop(stop, LOOK_EVERY) {
                        return Ok(None);
                    }
                }
                result => return result,
            }
        }
    }

    /// Ends what is left of an earlier run, and starts Postgres.
    fn try_start(&self, stop: &Receiver<Infallible>) -> Result<Option<Child>> {
        end_leftovers(&self.data)?;
        forget_stale_pid(&self.data.join(PID_FILE), &self.data)?;
        forget_stale_pid(&self.socket.join(SOCKET_LOCK), &self.data)?;
        self.trim_log();
        let log = open(&self.log, self.account, OpenOptions::new().append(true))?;
        let log_from = log.metadata().map_or(0, |log| log.len());
        let socket = format!("unix_socket_directories=\"{}\"", self.socket.display());
        // The service's pool has two for each core.
        let cores = thread::available_parallelism().map_or(2, usize::from);
        let connections = format!("max_connections={}", 40 + 2 * cores);
        let settings = [
            "listen_addresses=",
            // Said, since PGPORT would change it.
            "port=5432",
            &socket,
            &connections,
            "shared_buffers=64MB",
            "max_wal_size=256MB",
            "jit=off",
            "log_checkpoints=off",
            "logging_collector=off",
            "log_destination=stderr",
            // A row that is refused is quoted in DETAIL and CONTEXT, with the addresses in it.
            "log_error_verbosity=terse",
        ];
        let program = self.bin.join("postgres");
        let mut server = command(&program, self.account, Signal::INT)
            .arg("-D")
            .arg(&self.data)
            .args(settings.iter().flat_map(|setting| ["-c", setting]))
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .or_else(|error| not_runnable(&program, &error.to_string()))?;
        match self.wait_until_ready(&mut server, stop) {
            Ok(true) => Ok(Some(server)),
            Ok(false) => {
                end(&mut server);
                Ok(None)
            }
            Err(problem) => {
                end(&mut server);
                failed(format!(
                    "Postgres did not start: {problem}; {}",
                    self.last_words(log_from)
                ))
            }
        }
    }

    /// Waits for a connection; not until one is there if told to stop. An error says what is wrong.
    fn wait_until_ready(
        &self,
        server: &mut Child,
        stop: &Receiver<Infallible>,
    ) -> std::result::Result<bool, String> {
        let begun = Instant::now();
        while !is_told_to_stop(stop, Duration::from_millis(10)) {
            match server.try_wait() {
                Ok(None) => {}
                Ok(Some(status)) => return Err(format!("it ended with {status}")),
                Err(error) => return Err(format!("it cannot be waited for: {error}")),
            }
            // The file of an earlier run may be there still, so it must name this very process.
            let file = self.data.join(PID_FILE);
            let is_ready = pid(&file) == Some(Pid::from_child(server))
                && line(&file, 8).as_deref() == Some("ready");
            if is_ready && self.has_database()? {
                return Ok(true);
            }
            if begun.elapsed() > self.start_within {
                return Err(format!("no answer within {:?}", self.start_within));
            }
        }
        Ok(false)
    }

    /// Whether the database can be connected to; makes it if only that is missing.
    fn has_database(&self) -> std::result::Result<bool, String> {
        let is_there = || PgConnection::establish(&self.url("enlist")).is_ok();
        if is_there() {
            return Ok(true);
        }
        let Ok(mut connection) = PgConnection::establish(&self.url("postgres")) else {
            return Ok(false);
        };
        connection
            .batch_execute("CREATE DATABASE enlist")
            .map_err(|error| one_line(&format!("cannot create the database: {error}")))?;
        Ok(is_there())
    }

    /// Starts Postgres again whenever it ends, until told to stop. Gives the error it gave up with.
    fn watch(&self, mut server: Child, stop: &Receiver<Infallible>) -> Option<EmbeddedError> {
        let mut restarts: Vec<Instant> = Vec::new();
        let mut trouble = String::new();
        loop {
            if is_told_to_stop(stop, LOOK_EVERY) {
                end(&mut server);
                // Ours under /tmp is empty now; one beside the data may go as well.
                let _ = fs::remove_dir(&self.socket);
                return None;
            }
            match server.try_wait() {
                Ok(None) => {
                    self.trim_log();
                    continue;
                }
                Ok(Some(status)) if trouble.is_empty() => {
                    trouble = format!("it ended with {status}")
                }
                Ok(Some(_)) => {}
                Err(error) => trouble = error.to_string(),
            }
            restarts.retain(|then| then.elapsed() < MINUTE);
            if restarts.len() == RESTARTS {
                return Some(EmbeddedError::Failed(format!(
                    "Postgres was started {RESTARTS} times within a minute and does not last: \
                     {trouble}; {}",
                    self.last_words(0)
                )));
            }
            tracing::error!("Postgres is started again: {trouble}");
            restarts.push(Instant::now());
            match self.start(stop) {
                Ok(Some(again)) => {
                    server = again;
                    trouble.clear();
                }
                Ok(None) => return None,
                Err(error) => {
                    trouble = error.to_string();
                    if is_told_to_stop(stop, Duration::from_secs(1)) {
                        return None;
                    }
                }
            }
        }
    }

    /// Empties a log that grew too long. Postgres appends, so it goes on at the beginning.
    fn trim_log(&self) {
        if fs::metadata(&self.log).is_ok_and(|log| log.len() > LONGEST_LOG) {
            // If it cannot be done now, it is tried again soon.
            let _ = OpenOptions::new()
                .write(true)
                .truncate(true)
                .open(&self.log);
        }
    }

    /// How the log ends, looking back at most 16 KiB and not beyond the byte `from`.
    fn last_words(&self, from: u64) -> String {
        let mut said = Vec::new();
        let read = File::open(&self.log).and_then(|mut log| {
            let from = from.max(log.metadata()?.len().saturating_sub(16 << 10));
            log.seek(SeekFrom::Start(from))?;
            log.read_to_end(&mut said)
        });
        let words = read.map_or_else(|error| error.to_string(), |_| last_words(&said));
        format!("{} ends with: {words}", self.log.display())
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
    fn of(home: &Path) -> Result<Option<Self>> {
        if !geteuid().is_root() {
            return Ok(None);
        }
        let owner = [&home.join("data"), home]
            .iter()
            .filter_map(|dir| fs::metadata(dir).ok())
            .map(|dir| Self {
                uid: dir.uid(),
                gid: dir.gid(),
            })
            .find(|owner| owner.uid != 0);
        let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let named = |name| {
            users.lines().find_map(|line| {
                // name:password:uid:gid:… (passwd(5))
                let fields: Vec<&str> = line.split(':').collect();
                match fields[..] {
                    [given, _, uid, gid, ..] if given == name => Some(Self {
                        uid: uid.parse().ok()?,
                        gid: gid.parse().ok()?,
                    }),
                    _ => None,
                }
            })
        };
        match owner
            .or_else(|| named("postgres"))
            .or_else(|| named("nobody"))
        {
            None => failed(
                "Postgres does not run as root, and there is no user `postgres` or `nobody`: run \
                 enlist as another user",
            ),
            account => Ok(account),
        }
    }

    /// Whether the mode bits let this user through `dir` and its parents (path_resolution(7)).
    fn reaches(self, dir: &Path) -> bool {
        dir.ancestors()
            .filter_map(|dir| fs::metadata(dir).ok())
            .all(|dir| {
                let class = if dir.uid() == self.uid {
                    6
                } else if dir.gid() == self.gid {
                    3
                } else {
                    0
                };
                (dir.mode() >> class) & 1 == 1
            })
    }
}

/// Where everything is: `<data_dir>/postgres`, made if it is not there. Where Postgres' user cannot
/// enter the data directory (root's clone under `/root`), it becomes a link to a folder that can be
/// entered. The link is what counts from then on, so the data stays found whatever modes change.
fn home(data_dir: &Path) -> Result<PathBuf> {
    fs::create_dir_all(data_dir).map_err(cannot("create", data_dir))?;
    let data_dir = data_dir.canonicalize().map_err(cannot("find", data_dir))?;
    let home = data_dir.join("postgres");
    if home.symlink_metadata().is_err() {
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
        Err(error) if error.kind() == ErrorKind::NotFound => failed(format!(
            "ENLIST_DATA_DIR: the database that {} leads to is gone: bring it back, or remove the \
             link to begin with an empty one",
            home.display()
        )),
        found => found.map_err(cannot("find", &home)),
    }
}

/// A new folder under [`ELSEWHERE`], named for people after the data directory. One that is there
/// already belongs to a data directory that was deleted or moved: it is neither used nor removed.
fn make_elsewhere(data_dir: &Path) -> Result<PathBuf> {
    let shared = Path::new(ELSEWHERE);
    make_dir(shared, 0o755)
        .or_else(unless(ErrorKind::AlreadyExists))
        .map_err(cannot("create", shared))?;
    let is_odd = |c: char| !c.is_ascii_alphanumeric() && c != '.' && c != '_';
    let path = data_dir.to_string_lossy().replace(is_odd, "-");
    // Short enough for the socket in it: see LONGEST_SOCKET_DIR.
    let name = path[path.len().saturating_sub(50)..].trim_matches('-');
    let mut home = shared.join(name);
    let mut number = 1;
    loop {
        match make_dir(&home, 0o711) {
            Ok(()) => return Ok(home),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                number += 1;
                home = shared.join(format!("{name}-{number}"));
            }
            Err(error) => return Err(cannot("create", &home)(error)),
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
    match account {
        Some(Account { uid, gid }) => lchown(dir, Some(uid), Some(gid)),
        None => Ok(()),
    }
}

/// Opens or creates a file that belongs to Postgres' user.
fn open(path: &Path, account: Option<Account>, options: &mut OpenOptions) -> Result<File> {
    let file = options.create(true).mode(0o600).open(path);
    file.and_then(|file| match account {
        Some(Account { uid, gid }) => fchown(&file, Some(uid), Some(gid)).map(|()| file),
        None => Ok(file),
    })
    .map_err(cannot("write", path))
}

/// Takes the lock (flock(2)), which ends with our process, however that ends.
fn lock(home: &Path, account: Option<Account>) -> Result<File> {
    let path = home.join("lock");
    let mut file = open(&path, account, OpenOptions::new().read(true).write(true))?;
    // Held for a moment longer if its process was killed while it started another one.
    let mut locked = Ok(());
    comes_true(Duration::from_millis(500), || {
        locked = file.try_lock();
        !matches!(locked, Err(TryLockError::WouldBlock))
    });
    match locked {
        Ok(()) => file
            .set_len(0)
            .and_then(|()| write!(file, "{}", std::process::id()))
            .map(|()| file)
            .map_err(cannot("write", &path)),
        Err(TryLockError::Error(error)) => Err(cannot("lock", &path)(error)),
        Err(TryLockError::WouldBlock) => {
            let holder = fs::read_to_string(&path).unwrap_or_default();
            Err(EmbeddedError::InUse(format!(
                "{} is in use by another enlist (process {}): stop that one, or give this one a \
                 directory of its own",
                home.display(),
                if holder.is_empty() {
                    "unknown"
                } else {
                    holder.trim()
                },
            )))
        }
    }
}

/// Finds binaries: in the configured directory, else the newest that Debian installed, else in PATH.
/// Data that is there already needs those of the major version that made it.
fn binaries(
    options: &Options,
    account: Option<Account>,
    data: Option<&PathBuf>,
) -> Result<PathBuf> {
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
    for dir in &dirs {
        let program = dir.join("postgres");
        if !program.is_file() || !dir.join("initdb").is_file() {
            continue;
        }
        let output = command(&program, account, Signal::KILL)
            .arg("--version")
            .output()
            .or_else(|error| not_runnable(&program, &error.to_string()))?;
        // postgres (PostgreSQL) 15.12 (Debian 15.12-0+deb12u2)
        let text = String::from_utf8_lossy(&output.stdout);
        let number = text.trim_start_matches("postgres (PostgreSQL) ");
        let major = number.split(|c: char| !c.is_ascii_digit()).next();
        match major.filter(|major| !major.is_empty()) {
            None => return not_runnable(&program, &last_words(&output.stderr)),
            Some(major) if made_by.is_none_or(|made_by| made_by == major) => return Ok(dir.clone()),
            Some(major) => found = found.or(Some(major.to_owned())),
        }
    }
    match (found, data, made_by) {
        (Some(found), Some(data), Some(made_by)) => failed(format!(
            "the database in {} was made by PostgreSQL {made_by}, and only {found} is here: install \
             that (Debian: apt-get install postgresql-{made_by}) or name its directory in \
             ENLIST_POSTGRES_BIN",
            data.display()
        )),
        _ => failed(format!(
            "no Postgres binaries in {}: install them (Debian: apt-get install postgresql), name \
             their directory in ENLIST_POSTGRES_BIN, or set DATABASE_URL",
            match &options.bin_dir {
                Some(dir) => dir.display().to_string(),
                None => format!("{DEBIAN}/*/bin or PATH"),
            }
        )),
    }
}

/// Where binaries may be, best first.
fn installed() -> Vec<PathBuf> {
    let mut majors: Vec<u32> = fs::read_dir(DEBIAN)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .collect();
    majors.sort_unstable();
    let debian = majors
        .iter()
        .rev()
        .map(|major| PathBuf::from(format!("{DEBIAN}/{major}/bin")));
    let path = env::var_os("PATH").unwrap_or_default();
    debian.chain(env::split_paths(&path)).collect()
}

fn not_runnable<T>(program: &Path, problem: &str) -> Result<T> {
    failed(format!("cannot run {}: {problem}", program.display()))
}

/// A command that runs as Postgres' user, out of reach of the terminal's Ctrl-C, and gets `death` when
/// the thread that spawns it ends, be it by `kill -9`.
#[allow(unsafe_code)]
fn command(program: &Path, account: Option<Account>, death: Signal) -> Command {
    let mut command = Command::new(program);
    let kept = ["PATH", "LD_LIBRARY_PATH", "TZ"];
    command
        .env_clear()
        .envs(
            kept.iter()
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
    // system calls; nothing is allocated, locked or dropped. They come after the change of user, which
    // would undo the first.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(death))?;
            if getppid() == parent {
                Ok(())
            } else {
                // We were killed before the signal was asked for.
                Err(ErrorKind::BrokenPipe.into())
            }
        });
    }
    command
}

/// Makes the cluster, or makes it anew: under another name, so that a half-made one is never taken for
/// data.
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

/// A directory for the socket that only Postgres' user can enter: beside the data, or under `/tmp`
/// where the path is too long for a socket or has what libpq and Postgres take for a list.
fn socket_dir(home: &Path, account: Option<Account>) -> Result<PathBuf> {
    let near = home.join("socket");
    let is_plain =
        |path: &str| path.len() <= LONGEST_SOCKET_DIR && !path.contains([',', '"', '\n']);
    if near.to_str().is_some_and(is_plain) {
        return make_private_dir(&near, account)
            .map(|()| near.clone())
            .map_err(cannot("create", &near));
    }
    let id = fs::metadata(home).map_err(cannot("look at", home))?;
    let owner = account.map_or(geteuid().as_raw(), |account| account.uid);
    let mut number = 0;
    loop {
        // The same name at every start, as long as nobody else took it.
        let dir = PathBuf::from(format!(
            "/tmp/enlist-{:x}-{:x}-{number}",
            id.dev(),
            id.ino()
        ));
        match make_dir(&dir, 0o700).and_then(|()| make_private_dir(&dir, account)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => {
                return Err(cannot("create", &dir)(error));
            }
            _ => {}
        }
        let is_ours =
            |dir: fs::Metadata| dir.is_dir() && dir.uid() == owner && dir.mode() & 0o077 == 0;
        if fs::symlink_metadata(&dir).is_ok_and(is_ours) {
            return Ok(dir);
        }
        number += 1;
    }
}

fn url(socket: &Path, database: &str) -> String {
    let host = percent_encode(socket.as_os_str().as_bytes(), NON_ALPHANUMERIC);
    format!("postgres://enlist@/{database}?host={host}&port=5432")
}

/// A line of a Postgres' lock file, counted from 1: the process, …, 5 the socket's directory, …, 8 the
/// state (only in [`PID_FILE`]).
fn line(file: &Path, number: usize) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    Some(text.lines().nth(number - 1)?.trim().to_owned())
}

fn pid(file: &Path) -> Option<Pid> {
    let pid = line(file, 1)?.parse().ok()?;
    (pid > 0).then(|| Pid::from_raw(pid))?
}

/// What tells a directory from others: device and inode, since paths differ between mount namespaces.
fn identity(dir: impl AsRef<Path>) -> io::Result<(u64, u64)> {
    fs::metadata(dir).map(|dir| (dir.dev(), dir.ino()))
}

/// Where a Postgres process works; an error if that is hidden from us. None for other processes, and
/// for one that was killed and that nobody waited for yet (a container without an init).
fn workplace(pid: Pid) -> Option<io::Result<(u64, u64)>> {
    // 4711 (postgres) S … (proc(5))
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (name, state) = stat.split_once(' ')?.1.rsplit_once(") ")?;
    let is_running = name == "(postgres" && !state.starts_with(['Z', 'X']);
    is_running.then(|| identity(format!("/proc/{pid}/cwd")))
}

/// The processes of any Postgres that works in this directory, ours or not: whoever holds the lock is
/// the only one who may.
fn leftovers(data: &Path) -> Vec<Pid> {
    let Ok(data) = identity(data) else {
        return Vec::new();
    };
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| Pid::from_raw(entry.ok()?.file_name().to_str()?.parse().ok()?))
        .filter(|pid| matches!(workplace(*pid), Some(Ok(dir)) if dir == data))
        .collect()
}

/// Ends them. After `kill -9` of us Postgres is about to end by itself; after `kill -9` of the
/// postmaster its busy children go on, and would keep a new one from starting for minutes.
fn end_leftovers(data: &Path) -> Result<()> {
    let all = leftovers(data);
    if all.is_empty() {
        return Ok(());
    }
    tracing::warn!(
        "ending {} processes that an earlier Postgres left",
        all.len()
    );
    // It ends its children in good order. Without it they have to be told.
    let postmaster = pid(&data.join(PID_FILE)).filter(|pid| all.contains(pid));
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
    failed(format!(
        "an earlier Postgres works on {} and cannot be ended, not even by SIGKILL",
        data.display()
    ))
}

/// Removes a lock file whose process is dead or another one today (after a reboot, or in a new
/// container): Postgres would take it for a postmaster and refuse to start. Where the process is a
/// Postgres that works on `data`, or on what we cannot see, Postgres decides.
fn forget_stale_pid(file: &Path, data: &Path) -> Result<()> {
    let may_be_ours = |pid| match workplace(pid) {
        Some(Ok(dir)) => identity(data).is_ok_and(|data| data == dir),
        // It may have ended since.
        Some(Err(error)) => error.kind() != ErrorKind::NotFound,
        None => false,
    };
    match pid(file) {
        Some(pid) if !may_be_ours(pid) => fs::remove_file(file).map_err(cannot("remove", file)),
        _ => Ok(()),
    }
}

/// Ends a Postgres of ours: in order, at once, by force.
fn end(server: &mut Child) {
    for (signal, patience) in [(Signal::INT, 20), (Signal::QUIT, 7), (Signal::KILL, 5)] {
        // Not signaled once it was waited for: its number may be another's then.
        if !matches!(server.try_wait(), Ok(None)) {
            return;
        }
        let _ = kill_process(Pid::from_child(server), signal);
        let patience = Duration::from_secs(patience);
        if comes_true(patience, || !matches!(server.try_wait(), Ok(None))) {
            return;
        }
        tracing::warn!("Postgres did not end within {patience:?} of {signal:?}");
    }
}

fn comes_true(within: Duration, mut test: impl FnMut() -> bool) -> bool {
    let begun = Instant::now();
    while !test() {
        if begun.elapsed() > within {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
    true
}

/// Waits this long, or until told to stop.
fn is_told_to_stop(stop: &Receiver<Infallible>, wait: Duration) -> bool {
    stop.recv_timeout(wait) == Err(RecvTimeoutError::Disconnected)
}

/// The last lines that matter of what one of Postgres' programs said, as one.
fn last_words(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(said);
    let tells = |line: &&str| {
        ["FATAL", "PANIC", "rror:", "HINT"]
            .iter()
            .any(|word| line.contains(word))
    };
    let mut lines: Vec<&str> = said.lines().filter(tells).collect();
    if lines.is_empty() {
        lines = said.lines().collect();
    }
    one_line(&lines[lines.len().saturating_sub(2)..].join("\n"))
}

fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}
