//! Which users a list, a preview, a send or a bulk change is about.

pub mod domain;
pub mod queries;
pub mod refusal;
