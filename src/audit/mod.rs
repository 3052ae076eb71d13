//! The audit log: who did what, when and from where (docs/security.md).
//!
//! An event is written in the transaction of what it tells of, so neither is there without the other. A task links what
//! was committed into a chain of MACs under a key that is not in the database: whoever changes, leaves out or adds an
//! event there is found out by `enlist audit verify`.

pub mod chain;
pub mod domain;
mod ends;
pub mod forgetting;
pub mod http;
pub mod queries;
mod trail;

pub use trail::Trail;
