//! The service as clients see it: the real app on a port, real Postgres, real SMTP.

#[path = "../support/mod.rs"]
mod support;

mod access;
mod contract;
mod database;
mod delivery;
mod dev;
mod embedded;
mod exports;
mod groups;
mod imports;
mod invitations;
mod mailbox;
mod migrations;
mod paging;
mod shell;
mod smtp;
mod transfer;
mod users;
