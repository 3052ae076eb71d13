//! The service as clients see it: the real app on a port, real Postgres, real SMTP.

#[path = "../support/mod.rs"]
mod support;

mod access;
mod audit;
mod bounces;
mod chaos;
mod columns;
mod confirmations;
mod contract;
mod database;
mod delivery;
mod dev;
mod devices;
mod embedded;
mod enrollments;
mod exports;
mod groups;
mod guessing;
mod imports;
mod invitations;
mod keys;
mod landing;
mod lifecycle;
mod limits;
mod mailbox;
mod metrics;
mod migrations;
mod model;
mod operators;
mod paging;
mod password_alone;
mod pin_requests;
mod progress;
mod proxied;
mod reminders;
mod retention;
mod roles;
mod rotation;
mod search;
mod settings;
mod shell;
mod smtp;
mod transfer;
mod typing;
mod users;
