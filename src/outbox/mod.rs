//! The queue of messages: committed with what they are about, sent by any instance.

pub mod allowance;
pub mod attempt;
pub mod backoff;
pub mod depth;
pub mod listen;
pub mod message;
pub mod pace;
mod parcel;
pub mod queries;
pub mod registrations;
mod round;
pub mod worker;
