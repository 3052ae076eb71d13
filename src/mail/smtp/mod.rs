//! The way out: a small pool of SMTP connections that says what became of one message.
//!
//! lettre speaks the protocol ([`lettre::transport::smtp::client::AsyncSmtpConnection`] over a socket of ours); its own pool is not
//! used, because it has no time limit once connected, no `TCP_NODELAY`, and gives a connection back
//! after a cancelled send, one reply behind. Here a connection in use belongs to the sending future
//! alone. It is kept for the next message only when every command has had its answer; a time limit,
//! an error or a cancellation drops it.
//!
//! Nothing is logged but stages, reply codes and connection numbers: replies quote addresses.
//! lettre itself logs bodies and credentials at `debug`, so its log level must stay at `info`.

mod content;
mod delivery;
mod fault;
mod limits;
pub mod oauth;
mod pool;
mod relay;
mod session;
mod url;
mod wire;

pub use delivery::{Delivery, Failure, Reply, ServerState};
pub use limits::SmtpLimits;
pub use pool::SmtpPool;
pub use relay::SmtpSetupError;
pub use url::{SmtpUrl, SmtpUrlError, TlsMode};
