//! The kit of every handler: one way each to take a request apart, to list, to read, to change, to do something once,
//! and to answer. It knows no feature.

pub mod base_path;
pub mod csv;
pub mod error;
pub mod etag;
pub mod extract;
pub mod idempotency_key;
pub mod idempotent;
pub mod json;
pub mod leased;
pub mod limits;
pub mod list;
pub mod once;
pub mod paging;
pub mod problem;
pub mod proxies;
pub mod repeats;
pub mod request_id;
pub mod resource;
pub mod respond;
pub mod route;
pub mod trace;
