//! PINs and QR tokens: derived from a key that is not in the database, never stored; and what must be readable again,
//! sealed under it (PRODUCT §3).

pub mod keys;
pub mod line;
pub mod password;
pub mod pin;
pub mod return_path;
pub mod sealed;
pub mod token;
