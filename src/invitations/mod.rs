//! Inviting users: who gets what, the preview, and the sending.

pub mod domain;
pub mod http;
pub mod letter;
pub mod ownership;
pub mod plan;
pub mod preview;
pub mod queries;
pub mod selection;
pub mod send;
