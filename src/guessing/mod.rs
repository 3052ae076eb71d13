//! Tries at PINs, passwords and operators' sign-ins: how many there may be, and how many there were.

pub mod counter;
pub mod policy;
