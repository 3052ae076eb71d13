//! The words that everybody speaks, each checked where it comes in. Nothing here knows a database or a request. Pure.

pub mod caller;
pub mod characters;
pub mod device;
mod fault;
pub mod identity;
pub mod invitation;
mod languages;
pub mod mail_domain;
pub mod named;
pub mod ownership;
pub mod qr_payload;
pub mod registration;
pub mod said;
pub mod search;
pub mod secret_input;
mod text;
pub mod time;
pub mod wire;
