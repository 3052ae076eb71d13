//! Inviting users: who gets what, the preview, the sending, and the live secrets.

pub mod domain;
pub mod ending;
pub mod http;
pub mod key_use;
pub mod lifecycle;
pub mod live;
pub mod mailed;
pub mod pins;
pub mod plan;
pub mod preview;
pub mod queries;
pub mod recipients;
pub mod send;
