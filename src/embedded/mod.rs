//! What one machine alone needs: a Postgres of its own, and for `enlist dev` a mailbox page instead
//! of a mail server, sample users and a key.

pub mod dev;
pub mod mailbox;
pub mod postgres;
pub mod receiver;
pub mod samples;
