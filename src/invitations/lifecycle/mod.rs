//! What an administrator does with invitations that are out: resend and revoke, one or many, in as many
//! statements for 100,000 as for one.
//!
//! Rows are locked before anything is decided, in the order of their ids; whoever changes the same
//! invitations at the same time waits, and then sees what was decided here.

mod candidates;
mod resend;
mod results;
mod revoke;

pub use resend::{Resent, resend, resend_batch, resend_many};
pub use results::Results;
pub use revoke::{Revoked, revoke, revoke_many};
