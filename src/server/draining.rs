//! Between being told to stop and stopping: requests are still answered, and whoever sends them learns to go elsewhere.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use actix_web::{dev::ServiceResponse, http::ConnectionType};

/// Whether the service was told to stop. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Draining(Arc<AtomicBool>);

impl Draining {
    /// From now on `/readyz` says no, and no connection outlives its next answer.
    pub fn begin(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it has begun.
    pub fn is_on(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Ends the connection behind this answer, if it has begun.
    pub fn close_behind<B>(&self, response: &mut ServiceResponse<B>) {
        if self.is_on() {
            let head = response.response_mut().head_mut();
            head.set_connection_type(ConnectionType::Close);
        }
    }
}
