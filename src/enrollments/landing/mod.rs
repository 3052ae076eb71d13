//! The landing page, `/enroll`: what to do next, for the person who has been invited, in their language
//! and for the device in their hand. It only ever reads: mail scanners open every link.

mod facts;
pub mod http;
pub mod link;
pub mod page;
pub mod queries;
pub mod render;
