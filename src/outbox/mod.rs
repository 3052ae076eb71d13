//! The queue of messages: committed with what they are about, sent by any instance.

pub mod backoff;
pub mod queries;
pub mod worker;
