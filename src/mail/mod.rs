//! Mails: their words, their look, their wire format, and the connection that carries them.
//! Knows no feature and no database.

pub mod branding;
pub mod catalogue;
pub mod confirmation;
pub mod engine;
mod form;
pub mod invitation;
pub mod letter;
pub mod message;
pub mod mime;
pub mod qr;
pub mod smtp;
pub mod stencil;
pub mod test_mail;
