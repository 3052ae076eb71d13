//! Enrolling: what a QR code says, and the page that invitations lead to.

pub mod landing;
pub mod payload;
