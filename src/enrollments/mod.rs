//! Enrolling a device with what an invitation gave.

pub mod domain;
pub mod enroll;
pub mod guessing;
pub mod http;
pub mod queries;
pub mod verdict;
