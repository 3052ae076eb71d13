//! The service as clients see it: the real app on a port, real Postgres, real SMTP.

#[path = "../support/mod.rs"]
mod support;

mod access;
mod confirmations;
mod contract;
mod delivery;
mod dev;
mod devices;
mod embedded;
mod enrollments;
mod groups;
mod guessing;
mod invitations;
mod landing;
mod mailbox;
mod migrations;
mod paging;
mod password_alone;
mod pin_requests;
mod settings;
mod smtp;
mod transfer;
mod users;
