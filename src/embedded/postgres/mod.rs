//! A Postgres of Enlist's own, for `dev` and for commands without `DATABASE_URL`: found, made,
//! started, watched and stopped here. Linux only: it reads `/proc`.
//!
//! The data is somebody's, so nothing is traded for speed: fsync stays on, `initdb` works under
//! another name until it is done, and a start first ends what an earlier one left running. Postgres
//! listens on a Unix socket that only its own user (and root) can reach, and gets none of Enlist's
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

mod account;
mod binaries;
mod cluster;
mod error;
mod home;
mod last_words;
mod leftovers;
mod log;
mod pid_file;
mod process;
mod server;
mod supervisor;
mod url;
mod waiting;

pub use cluster::Options;
pub use error::EmbeddedError;
pub use supervisor::Postgres;
pub use url::url_of_running;
