//! Enrollments in the database: written all at once, and read again for a repeat.

use chrono::{DateTime, Utc};
use diesel::{
    pg::Pg,
    prelude::*,
    query_builder::QueryFragment,
    sql_types::{Bool, Int4, Nullable, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::{
    domain::{DeviceReport, EnrolledUser, Enrollment},
    found::Guarded,
};
use crate::{
    db::{DbError, prepared::Prepared},
    devices::{self, domain::Device},
    model::{
        device::{DeviceId, Label, SerialNumber},
        invitation::Method,
        ownership::{Decided, DeviceFacts, Ownership, Reason},
    },
    schema::enrollments,
};

/// What is written when a device enrolls.
pub struct Entry<'a> {
    pub id: Uuid,
    pub user: &'a EnrolledUser,
    /// With its counts as they were before this try.
    pub invitation: Option<&'a Guarded>,
    pub method: Method,
    pub device_id: Uuid,
    pub device: &'a DeviceReport,
    pub facts: DeviceFacts,
    pub ownership: Decided,
    /// The id of the message, if there is to be one.
    pub confirmation: Option<Uuid>,
    pub now: DateTime<Utc>,
}

impl Entry<'_> {
    /// The row that [`enroll_new`] writes.
    pub fn new_device(&self) -> Device {
        let report = self.device;
        Device {
            id: self.device_id,
            user_id: Some(self.user.id),
            serial_number: report
                .serial_number
                .as_ref()
                .map(|serial| serial.as_str().to_owned()),
            device_id: report.device_id.as_ref().map(|id| id.as_str().to_owned()),
            platform: report.platform(),
            model: report.model.as_ref().map(|label| label.as_str().to_owned()),
            os_version: report
                .os_version
                .as_ref()
                .map(|label| label.as_str().to_owned()),
            supervised: self.facts.supervised,
            user_enrollment: self.facts.user_enrollment,
            device_ownership: self.ownership,
            enrolled_at: self.now,
            updated_at: self.now,
            retired_at: None,
        }
    }
}

/// The parameters of both ways to enroll, in the order of their numbers.
fn binds<'a>(entry: &'a Entry<'a>) -> impl QueryFragment<Pg> + 'a {
    let device = entry.device;
    let invitation = entry.invitation;
    let label = |label: &'a Option<Label>| label.as_ref().map(Label::as_str);
    (
        entry.id.into_sql::<SqlUuid>(),
        entry.user.id.into_sql::<SqlUuid>(),
        invitation
            .map(|guarded| guarded.invited.id)
            .into_sql::<Nullable<SqlUuid>>(),
        entry.now.into_sql::<Timestamptz>(),
        invitation
            .map(|guarded| guarded.tries)
            .into_sql::<Nullable<Int4>>(),
        invitation
            .and_then(|guarded| guarded.locked_until)
            .into_sql::<Nullable<Timestamptz>>(),
        entry.device_id.into_sql::<SqlUuid>(),
        device
            .serial_number
            .as_ref()
            .map(SerialNumber::as_str)
            .into_sql::<Nullable<Text>>(),
        device
            .device_id
            .as_ref()
            .map(DeviceId::as_str)
            .into_sql::<Nullable<Text>>(),
        device.platform().into_sql::<Text>(),
        label(&device.model).into_sql::<Nullable<Text>>(),
        label(&device.os_version).into_sql::<Nullable<Text>>(),
        entry.facts.supervised.into_sql::<Bool>(),
        entry.ownership.requested.into_sql::<Text>(),
        entry.ownership.effective.into_sql::<Text>(),
        entry.ownership.reason.into_sql::<Text>(),
        entry.method.into_sql::<Text>(),
        entry.confirmation.into_sql::<Nullable<SqlUuid>>(),
        entry.facts.user_enrollment.into_sql::<Bool>(),
    )
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = Bool)]
    counted: bool,
}

/// Enrolls a device that nobody holds, if the user may hold one more. `false`: somebody does, or the user may not,
/// and nothing was written.
///
/// The indexes decide whether somebody holds it, and the update of the very row that counts whether there was room.
/// The device is written first, and then counted, as where one is retired: so that the two wait for each other
/// instead of for ever.
///
/// # Errors
/// When somebody else used up the user's room meanwhile ([`was_quicker`]), or the database is away.
pub fn enroll_new(
    connection: &mut PgConnection,
    entry: &Entry<'_>,
    limit: Option<u32>,
) -> Result<bool, DbError> {
    let limit = limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX));
    let counted: Option<Counted> = Prepared::new(
        include_str!("sql/enroll_new.sql"),
        (binds(entry), limit.into_sql::<Nullable<Int4>>()),
    )
    .get_result(connection)
    .optional()?;
    match counted {
        Some(Counted { counted: false }) => Err(diesel::result::Error::RollbackTransaction.into()),
        counted => Ok(counted.is_some()),
    }
}

/// Enrolls a device that the user holds already: it is brought up to date and counts once.
///
/// # Errors
/// When another device has one of its numbers meanwhile ([`was_quicker`]), or the database is away.
pub fn enroll_again(connection: &mut PgConnection, entry: &Entry<'_>) -> Result<(), DbError> {
    Prepared::new(include_str!("sql/enroll_again.sql"), binds(entry)).execute(connection)?;
    Ok(())
}

/// Whether somebody else was quicker with the same device, or with the user's last room: done anew, it is seen.
pub fn was_quicker(error: &DbError) -> bool {
    let is_taken_back = matches!(
        error,
        DbError::Query(diesel::result::Error::RollbackTransaction)
    );
    is_taken_back || devices::queries::was_quicker(error)
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = enrollments, check_for_backend(Pg))]
struct Row {
    id: Uuid,
    invitation_id: Option<Uuid>,
    device_id: Uuid,
    method: Method,
    ownership_requested: Ownership,
    ownership: Ownership,
    ownership_reason: Reason,
    confirmation_email: bool,
    enrolled_at: DateTime<Utc>,
}

fn shown(
    connection: &mut PgConnection,
    row: Row,
    user: &EnrolledUser,
) -> Result<Enrollment, DbError> {
    let device = devices::queries::get(connection, row.device_id)?
        .ok_or_else(|| DbError::Stored("enrollments.device_id".into()))?;
    Ok(Enrollment {
        id: row.id,
        user: user.clone(),
        invitation_id: row.invitation_id,
        method: row.method,
        device,
        device_ownership: Decided {
            requested: row.ownership_requested,
            effective: row.ownership,
            reason: row.ownership_reason,
        },
        confirmation_email: row.confirmation_email,
        enrolled_at: row.enrolled_at,
    })
}

/// What was enrolled with an invitation.
///
/// # Errors
/// When the database is away.
pub fn with_invitation(
    connection: &mut PgConnection,
    invitation: Uuid,
    user: &EnrolledUser,
) -> Result<Option<Enrollment>, DbError> {
    let row: Option<Row> = enrollments::table
        .filter(enrollments::invitation_id.eq(invitation))
        .select(Row::as_select())
        .first(connection)
        .optional()?;
    row.map(|row| shown(connection, row, user)).transpose()
}

/// How this device was last enrolled, if that was by this user with a password.
///
/// # Errors
/// When the database is away.
pub fn last_by_password(
    connection: &mut PgConnection,
    device: Uuid,
    user: &EnrolledUser,
) -> Result<Option<Enrollment>, DbError> {
    let row: Option<Row> = enrollments::table
        .filter(enrollments::device_id.eq(device))
        .order(enrollments::id.desc())
        .select(Row::as_select())
        .first(connection)
        .optional()?;
    row.filter(|row| row.method == Method::Password)
        .map(|row| shown(connection, row, user))
        .transpose()
}
