//! Enrolling a device with what an invitation gave, and what a QR code says.

pub mod domain;
pub mod enroll;
pub mod guessing;
pub mod http;
pub mod payload;
pub mod queries;
pub mod verdict;
