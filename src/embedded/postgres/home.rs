//! The folder with all that belongs to a Postgres: where it is, who may enter it, who holds its lock.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, ErrorKind, Write},
    os::unix::fs::{
        DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown, lchown, symlink,
    },
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::process::geteuid;

use super::{
    account::Account,
    error::{EmbeddedError, Result, cannot, failed, unless},
    waiting::comes_true,
};

/// Where the cluster goes when Postgres' user cannot enter the data directory.
const ELSEWHERE: &str = "/var/lib/enlist";
/// A socket's path may have 107 bytes (unix(7)), and Postgres appends a name to the folder's path.
const LONGEST_SOCKET_DIR: usize = 107 - "/.s.PGSQL.5432".len();

/// The folder itself: `<data_dir>/postgres`, made if it is not there. Where Postgres' user cannot enter
/// the data directory (root's clone under `/root`), it becomes a link to a folder that this user can
/// enter. From then on the link decides, so the data is still found when modes change.
pub(super) fn home(data_dir: &Path) -> Result<PathBuf> {
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

/// A new folder under [`ELSEWHERE`], named after the data directory so that people recognise it. One
/// that is there already belongs to a data directory that was deleted or moved: it is neither used nor
/// removed.
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

/// Takes the lock (flock(2)). It ends with Enlist's process, however that ends.
pub(super) fn lock(home: &Path, account: Option<Account>) -> Result<File> {
    let path = home.join("lock");
    let mut file = open(&path, account, OpenOptions::new().read(true).write(true))?;
    // A process that was killed while it started another one holds the lock a moment longer.
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

/// A directory for the socket that only Postgres' user can enter. It is beside the data, or under
/// `/tmp` where the path is too long for a socket or has characters that libpq and Postgres read as a
/// list.
pub(super) fn socket_dir(home: &Path, account: Option<Account>) -> Result<PathBuf> {
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
        // The same name at every start, unless somebody else has taken it.
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

/// Makes a directory with exactly this mode, whatever the umask.
fn make_dir(dir: &Path, mode: u32) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(dir)?;
    fs::set_permissions(dir, Permissions::from_mode(mode))
}

/// Makes a directory that only Postgres' user can enter, unless it is there.
pub(super) fn make_private_dir(dir: &Path, account: Option<Account>) -> io::Result<()> {
    make_dir(dir, 0o700).or_else(unless(ErrorKind::AlreadyExists))?;
    match account {
        Some(Account { uid, gid }) => lchown(dir, Some(uid), Some(gid)),
        None => Ok(()),
    }
}

/// Opens or creates a file that belongs to Postgres' user.
pub(super) fn open(
    path: &Path,
    account: Option<Account>,
    options: &mut OpenOptions,
) -> Result<File> {
    let file = options.create(true).mode(0o600).open(path);
    file.and_then(|file| match account {
        Some(Account { uid, gid }) => fchown(&file, Some(uid), Some(gid)).map(|()| file),
        None => Ok(file),
    })
    .map_err(cannot("write", path))
}
