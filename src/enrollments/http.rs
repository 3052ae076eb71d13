//! `POST /enrollments` and `POST /enrollments/pin-requests`.

use actix_web::{HttpResponse, post, web};
use tokio::time::Instant;
use tracing::Instrument;

use super::{
    domain::{EnrollRequest, Enrollment, PinRequested, RequestPin},
    enroll::{self, Desk},
    landing,
    outcome::{Enrolled, Refused},
    pin_requests::{self, Line, Requested},
};
use crate::{
    db::DbError,
    guessing::steps,
    http::{
        error::ApiError,
        extract::{Body, SECRET},
        route::{Needs, Register},
    },
    invitations::plan::MailsADay,
    model::caller::{Caller, Permission},
    outbox::registrations::Registrations,
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    landing::http::routes(api);
    api.add(Needs::SecretOr(Permission::Enroll), enroll_device)
        .add(Needs::SecretOr(Permission::Enroll), request_pin);
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        let (status, code, detail) = match refused {
            Refused::Wrong => (
                401,
                "invalid_credentials",
                "What was given does not enroll a device: the username, the PIN, the password or the code is wrong, or no longer works.",
            ),
            Refused::TooManyTries(seconds) => {
                return Self {
                    retry_after: Some(seconds),
                    ..Self::new(
                        429,
                        "too_many_attempts",
                        "There were too many wrong tries with this name; nothing is looked at for a while. Try again after \
                         `Retry-After` seconds, or ask your administrator to send the invitation again.",
                    )
                };
            }
            Refused::Disabled => (
                403,
                "user_disabled",
                "This user is disabled and enrolls no devices. Ask your administrator.",
            ),
            Refused::PinExpired => (
                410,
                "pin_expired",
                "The PIN was right and has expired. Ask for a new one with POST /enrollments/pin-requests, or ask your administrator.",
            ),
            Refused::InvitationExpired => (
                410,
                "invitation_expired",
                "The invitation has expired. Ask your administrator to send a new one.",
            ),
            Refused::AlreadyUsed => (
                409,
                "already_used",
                "A device was enrolled with this before, and it enrolls one only. Ask your administrator for another invitation.",
            ),
            Refused::DeviceLimitReached => (
                409,
                "device_limit_reached",
                "The user holds as many devices as allowed. Retire one first.",
            ),
            Refused::EnrolledElsewhere => (
                409,
                "device_enrolled_elsewhere",
                "Another user holds this device. It has to be retired there before it changes hands.",
            ),
            Refused::TwoDevices => (
                409,
                "device_mismatch",
                "The serial number is of one of the user's devices, and the device id of another. Retire one of them, or leave one of the two out.",
            ),
            Refused::Retired => (
                409,
                "device_retired",
                "This device was enrolled with this before, and retired since. Ask your administrator for another invitation.",
            ),
        };
        Self::new(status, code, detail)
    }
}

/// Enroll a device
///
/// With `username` (or the e-mail address) and `pin`, `password` or both, as the invitation asks for, or with a
/// QR code's `token` alone. What an invitation does not ask for is not looked at. The same request for the
/// same device within 24 hours gets the same enrollment. An `Idempotency-Key` has no meaning here.
#[utoipa::path(
    tag = "enrollments", request_body = EnrollRequest,
    responses(
        (status = 201, description = "Enrolled", body = Enrollment),
        (status = 200, description = "Was enrolled by the same request before", body = Enrollment),
        (status = 401, description = "`invalid_credentials`: some of it is wrong; or the API key is not valid", body = crate::http::problem::Problem),
        (status = 403, description = "`user_disabled`; or the key's role does not reach", body = crate::http::problem::Problem),
        (status = 409, description = "`already_used`, `device_limit_reached`, `device_enrolled_elsewhere`, `device_retired` or `device_mismatch`", body = crate::http::problem::Problem),
        (status = 410, description = "`pin_expired` or `invitation_expired`: right, and too late", body = crate::http::problem::Problem),
        (status = 429, description = "`too_many_attempts`: too many wrong tries; or too many requests", body = crate::http::problem::Problem),
    )
)]
#[post("/enrollments")]
async fn enroll_device(
    state: web::Data<State>,
    registrations: web::Data<Registrations>,
    caller: Option<Caller>,
    body: Body<EnrollRequest, SECRET>,
) -> Result<HttpResponse, ApiError> {
    let begun = Instant::now();
    let is_known = caller.is_some();
    let attempt = body.value.attempt(is_known)?;
    let desk = Desk {
        db: &state.db,
        clock: &state.clock,
        keys: &state.keys,
        hasher: &state.hasher,
        pins: &state.pins,
        is_known,
        registrations: &registrations,
    };
    let outcome = enroll::enroll(&desk, attempt).await?;
    if matches!(outcome, Err(Refused::Wrong | Refused::TooManyTries(_))) {
        steps::wait(begun).await;
    }
    let outcome = outcome.map_err(ApiError::from);
    state.metrics.enrolled(match &outcome {
        Ok(Enrolled::New(_)) => "enrolled",
        Ok(Enrolled::Before(_)) => "repeated",
        Err(problem) => problem.code,
    });
    match outcome? {
        Enrolled::New(enrollment) => {
            if enrollment.confirmation_email {
                state.bell.notify_one();
            }
            tracing::info!(
                enrollment_id = %enrollment.id, user_id = %enrollment.user.id, device_id = %enrollment.device.id,
                method = enrollment.method.as_str(), invitation_id = enrollment.invitation_id.map(tracing::field::display), "a device was enrolled"
            );
            Ok(HttpResponse::Created().json(enrollment))
        }
        Enrolled::Before(enrollment) => Ok(HttpResponse::Ok().json(enrollment)),
    }
}

/// Ask for a PIN again
///
/// The answer is always the same. If the user has a pending invitation with a PIN, and the setting that it was
/// sent with allows it, the PIN is mailed to the registered address: the same one while it lives, else the
/// next one, and the old one is dead. At most 3 mails an hour and 10 a day, and none where the user had as many invitation
/// mails that day as anybody may get.
#[utoipa::path(
    tag = "enrollments", request_body = RequestPin,
    responses(
        (status = 202, description = "Heard; whether there is anything to send is not told", body = PinRequested),
        (status = 429, description = "`rate_limited`: too many requests from this address, or from everywhere", body = crate::http::problem::Problem),
    )
)]
#[post("/enrollments/pin-requests")]
async fn request_pin(
    state: web::Data<State>,
    registrations: web::Data<Registrations>,
    mails_a_day: web::Data<MailsADay>,
    line: web::Data<Line>,
    body: Body<RequestPin, SECRET>,
) -> Result<HttpResponse, ApiError> {
    let name = body.value.username;
    let Some(is_first) = line.join(name.as_str()) else {
        return Err(ApiError {
            retry_after: Some(5),
            ..ApiError::new(
                429,
                "rate_limited",
                "Too many people ask for PINs at this moment. Try again after `Retry-After` seconds.",
            )
        });
    };
    let shared = state.clone();
    let work = async move {
        let _turn = line.turn(name.as_str()).await;
        let (clock, registrations) = (shared.clock.clone(), registrations.get_ref().clone());
        let done: Result<Requested, DbError> = shared
            .db
            .transaction(move |connection| {
                let name = name.as_str();
                pin_requests::request(connection, &clock, &registrations, **mails_a_day, name)
            })
            .await;
        match done {
            Ok(Requested::Queued) => shared.bell.notify_one(),
            Ok(outcome) => tracing::info!(?outcome, "a PIN was asked for and not sent"),
            Err(error) => tracing::error!(%error, "a PIN was asked for and cannot be sent"),
        }
    };
    // After the answer: neither what it says nor when it comes depends on what there is to find.
    if is_first {
        tokio::spawn(work.in_current_span());
    }
    Ok(HttpResponse::Accepted().json(PinRequested {
        detail: "If there is a PIN to send, it is on its way to the registered e-mail address.",
    }))
}
