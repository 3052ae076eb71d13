//! Enrolling a device with what an invitation gave, what a QR code says, and the page that invitations lead to.

pub mod domain;
pub mod enroll;
mod found;
pub mod http;
pub mod landing;
pub mod outcome;
pub mod pin_requests;
pub mod queries;
mod tries;
pub mod verdict;
mod write_down;
