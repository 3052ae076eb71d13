//! `enlist openapi`: the OpenAPI document, for those who have no running service at hand.

use enlist::server::openapi;

use super::out::print;

/// Prints the document.
pub fn run() -> anyhow::Result<()> {
    print(&openapi::json()?)
}
