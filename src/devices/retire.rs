//! Retiring a device.

use diesel::PgConnection;
use uuid::Uuid;

use super::queries;
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    http::{error::ApiError, resource::Expected},
};

/// Takes a device from its user; what is retired already stays so. Runs inside a transaction.
///
/// # Errors
/// 404, 412.
pub fn retire(
    connection: &mut PgConnection,
    trail: &Trail,
    id: Uuid,
    expected: &Expected,
) -> Result<(), ApiError> {
    expected.of(queries::lock(connection, id)?)?;
    queries::retire(connection, id, trail.clock.now())?;
    let event = Event::new(Action::DeviceRetired, SubjectKind::Device, id);
    Ok(trail.record(connection, &event)?)
}
