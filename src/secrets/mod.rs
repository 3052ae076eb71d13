//! PINs and QR tokens: derived from a key that is not in the database, never stored (PRODUCT §3).

pub mod keys;
pub mod password;
pub mod pin;
pub mod return_path;
pub mod token;
