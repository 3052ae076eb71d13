//! `enlist openapi`: the OpenAPI document, for those who have no running service at hand.

use std::io::{self, Write};

use enlist::server::openapi;

/// Prints the document.
pub fn run() -> anyhow::Result<()> {
    Ok(io::stdout().write_all(openapi::json()?.as_bytes())?)
}
