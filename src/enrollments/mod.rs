//! Enrolling a device with what an invitation gave, what a QR code says, and the page that invitations lead to.

pub mod domain;
pub mod enroll;
pub mod http;
pub mod landing;
pub mod pin_requests;
pub mod queries;
pub mod tries;
pub mod verdict;
