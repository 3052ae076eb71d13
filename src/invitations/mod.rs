//! Inviting users: who gets what, the preview, the sending, and the live secrets.

pub mod cancel;
pub mod domain;
pub mod ending;
pub mod http;
pub mod letter;
pub mod lifecycle;
pub mod lifecycle_http;
pub mod ownership;
pub mod pins;
pub mod plan;
pub mod preview;
pub mod progress;
pub mod progress_http;
pub mod queries;
pub mod selection;
pub mod send;
