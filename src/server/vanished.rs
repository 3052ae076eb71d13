//! Clients that vanished without a word: their connections end, and what they held is free again.

use std::any::Any;

use actix_web::rt::net::TcpStream;

/// How long what was sent may go unacknowledged, in milliseconds. Left alone, the kernel tries for a quarter of an hour.
const PATIENCE: u32 = 120_000;

/// Sees to it that a connection ends whose client is gone.
pub fn end_in_time(connection: &dyn Any) {
    if let Some(stream) = connection.downcast_ref::<TcpStream>()
        && let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(stream, PATIENCE)
    {
        tracing::debug!(%error, "a connection waits for its client as long as the kernel does");
    }
}
