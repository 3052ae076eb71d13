//! The user that Postgres runs as. It refuses to run as root.

use std::{fs, os::unix::fs::MetadataExt, path::Path};

use rustix::process::geteuid;

use super::error::{Result, failed};

/// The user that Postgres runs as when Enlist runs as root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// Whoever owns the data that is there; else `postgres`, else `nobody`. None if Enlist does not run
    /// as root: then Postgres runs as the same user.
    pub(super) fn of(home: &Path) -> Result<Option<Self>> {
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
    pub(super) fn reaches(self, dir: &Path) -> bool {
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
