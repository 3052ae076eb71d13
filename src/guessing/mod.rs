//! Tries at PINs, passwords and operators' sign-ins: how many there may be, how many there were, and when they are answered.

pub mod counter;
pub mod policy;
pub mod steps;
