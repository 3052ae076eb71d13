//! The way out: a small pool of SMTP connections that says what became of one message.
//!
//! lettre makes mails, addresses and commands; the conversation is ours ([`dialogue`]), because what servers really
//! answer has to be read with a bound on every line and a limit on every wait, and [`about`] says whom an answer is
//! about. A connection in use belongs to the sending future alone. It is kept for the next message only when every
//! command has had its answer; a time limit, an error or a cancellation drops it.
//!
//! Nothing is logged here but stages, reply codes and connection numbers: replies quote addresses and mails.

mod about;
mod auth;
mod content;
mod delivery;
mod dialogue;
mod fault;
mod limits;
pub mod oauth;
mod offer;
mod pool;
mod relay;
mod reply;
mod session;
mod tls;
mod trace;
mod trial;
mod url;

pub use about::About;
pub use delivery::{Acceptance, Delivery, Failure, TOO_LARGE};
pub use fault::Stage;
pub use limits::SmtpLimits;
pub use pool::SmtpPool;
pub use tls::{SmtpSetupError, trusted_roots};
pub use trace::Passed;
pub use url::{SmtpUrl, SmtpUrlError, TlsMode};
