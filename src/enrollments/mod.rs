//! Enrolling: what a QR code says.

pub mod payload;
