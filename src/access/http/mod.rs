//! `/api-keys`, `/operators` and `/sessions`.

mod keys;
mod operators;
mod sessions;

use crate::http::route::Register;

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    keys::routes(api);
    sessions::routes(api);
    operators::routes(api);
}
