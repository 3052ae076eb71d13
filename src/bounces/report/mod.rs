//! What a mail that comes back says: a delivery status report (RFC 3464), a complaint (RFC 5965), or one that is written
//! for people alone. Pure, and made for bytes from anybody: any of them give an answer.

mod codes;
mod fields;
mod parts;
mod reading;
mod told;
mod verdict;

pub use parts::Parts;
pub use reading::Report;
pub use verdict::{Verdict, Words};

#[cfg(test)]
mod tests;
