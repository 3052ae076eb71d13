//! Points in time, as bodies and queries have them. Pure.

use chrono::{DateTime, SubsecRound, Utc};
use deserr::{Deserr, IntoValue, Value, ValuePointerRef};

use super::wire::{Faults, Flaw, parse_text};

/// A point in time as a body has it: RFC 3339, with any offset.
#[derive(Debug, Clone, Copy)]
pub struct Time(pub DateTime<Utc>);

impl Deserr<Faults> for Time {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        parse_text(value, location, |text| {
            DateTime::parse_from_rfc3339(text)
                .map(|time| Self(time.to_utc().trunc_subsecs(6)))
                .map_err(|_| {
                    Flaw::new(
                        "invalid_time",
                        "must be a time of RFC 3339, such as 2026-12-01T09:00:00Z",
                    )
                })
        })
    }
}
