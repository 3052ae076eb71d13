//! The mailbox of `enlist dev`: what would have been mailed is kept here and shown at
//! `/dev/mailbox`, as a person would see it.
//!
//! The mails hold PINs. So the files are their owner's alone (0600), every answer is `no-store`, and
//! a request is only answered when it names this machine (a page on the internet can point its own
//! name at 127.0.0.1: DNS rebinding) and when no other site made the browser send it. The page shows
//! a mail in a frame without scripts, forms or an origin, and loads nothing from anywhere.

mod envelope;
mod events;
mod files;
mod gist;
mod guard;
mod http;
mod index;
mod mail;
mod page;
mod store;

pub use envelope::Envelope;
pub use guard::is_local_host;
pub use http::routes;
pub use store::Mailbox;
