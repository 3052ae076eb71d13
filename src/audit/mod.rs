//! The audit log: who did what, when and from where (docs/security.md).
//!
//! An event is written in the transaction of what it tells of, so neither is there without the other, and signed by whoever
//! writes it, with a key that is not in the database. A task links what was committed into a chain: whoever changes, leaves
//! out or adds an event there is found out by `enlist audit verify`.

mod chain;
pub mod domain;
mod ends;
pub mod erasing;
mod evidence;
mod foreign;
pub mod forgetting;
mod gone;
pub mod heads;
pub mod http;
pub mod linking;
pub mod losses;
mod of_log;
mod older;
pub mod person;
mod proof;
pub mod queries;
mod rows;
mod shape;
mod signature;
mod telling;
mod trail;
pub mod verifying;

pub use trail::Trail;
