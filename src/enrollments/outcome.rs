//! What becomes of an attempt to enroll a device.

use super::domain::Enrollment;

/// A device that is enrolled.
#[derive(Debug)]
pub enum Enrolled {
    /// Just now.
    New(Enrollment),
    /// Before, with the same request.
    Before(Enrollment),
}

/// Why a device is not enrolled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Some of it is wrong; which, is not told.
    Wrong,
    /// Not looked at: for so many seconds more.
    TooManyTries(u32),
    Disabled,
    PinExpired,
    InvitationExpired,
    AlreadyUsed,
    DeviceLimitReached,
    /// Somebody else holds the device.
    EnrolledElsewhere,
    /// The serial number and the id are of two devices.
    TwoDevices,
    /// The device was enrolled with this very secret, and retired since.
    Retired,
}

/// What became of an attempt.
pub type Outcome = Result<Enrolled, Refused>;
