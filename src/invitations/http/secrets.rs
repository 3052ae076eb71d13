//! Live PINs and QR codes, for administrators who show them.

use actix_web::{HttpResponse, HttpResponseBuilder, get, http::header, post, web};

use crate::{
    audit::{Trail, domain::Action},
    http::{
        error::ApiError,
        extract::{Body, SELECTION},
        problem::Problem,
        resource::Id,
        route::Register,
    },
    invitations::{
        domain::Invitation,
        live,
        pins::{LivePin, Pins, PinsError},
    },
    mail::{letter::Writer, qr},
    model::caller::{Caller, Permission},
    outbox::registrations::Registrations,
    selection::{domain::Selection, queries::SelectionError, refusal::check},
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    api.permit(Permission::ReadSecrets, show_pins)
        .permit(Permission::ReadSecrets, get_invitation_pin)
        .permit(Permission::ReadSecrets, get_invitation_qr_png)
        .permit(Permission::ReadSecrets, get_invitation_qr_svg);
}

impl From<PinsError> for ApiError {
    fn from(error: PinsError) -> Self {
        match error {
            PinsError::Selection(SelectionError::TooMany) => Self::new(
                422,
                "too_many_recipients",
                "More than 1,000 users are selected; ask for their PINs in several requests.",
            ),
            PinsError::Selection(error) => error.into(),
            PinsError::Key(error) => Self::internal(error),
        }
    }
}

/// An answer with a secret is never stored on its way.
fn no_store() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response
}

/// Show an invitation's PIN
///
/// For an administrator who reads it out. 409 `not_applicable` when the invitation has no PIN or is
/// no longer pending.
#[utoipa::path(
    tag = "invitations", params(("id" = Uuid, Path, description = "The invitation's id")),
    responses(
        (status = 200, description = "The live PIN", body = LivePin),
        (status = 409, description = "There is no live PIN", body = Problem),
    )
)]
#[get("/invitations/{id}/pin")]
async fn get_invitation_pin(
    state: web::Data<State>,
    trail: Trail,
    Id(id, ..): Id<Invitation>,
) -> Result<HttpResponse, ApiError> {
    let pin = live::pin(&state, id).await?;
    live::looked(&state, trail, Action::PinViewed, id).await?;
    Ok(no_store().json(pin))
}

/// Show the PINs of many users
///
/// For an administrator who hands them out: the live PINs of up to 1,000 selected users. Nothing is
/// issued or stored. Who has no pending invitation with a PIN that still works is in `skipped`.
#[utoipa::path(
    tag = "invitations", request_body = Selection,
    responses((status = 200, description = "The live PINs", body = Pins))
)]
#[post("/invitations/pins")]
async fn show_pins(
    state: web::Data<State>,
    trail: Trail,
    caller: Caller,
    body: Body<Selection, SELECTION>,
) -> Result<HttpResponse, ApiError> {
    let (selection, keys) = (body.value, state.keys.clone());
    check(&selection)?;
    let pins = state
        .db
        .transaction(move |connection| live::pins_of_users(connection, &trail, &keys, &selection))
        .await?;
    tracing::info!(
        caller = caller.label(),
        count = pins.data.len(),
        "live secrets were shown"
    );
    Ok(no_store().json(pins))
}

/// Show an invitation's QR code as PNG
#[utoipa::path(
    tag = "invitations", params(("id" = Uuid, Path, description = "The invitation's id")),
    responses(
        (status = 200, description = "The picture", body = Vec<u8>, content_type = "image/png"),
        (status = 409, description = "There is no live QR code", body = Problem),
    )
)]
#[get("/invitations/{id}/qr.png")]
async fn get_invitation_qr_png(
    state: web::Data<State>,
    writer: web::Data<Writer>,
    registrations: web::Data<Registrations>,
    trail: Trail,
    Id(id, ..): Id<Invitation>,
) -> Result<HttpResponse, ApiError> {
    let says = live::qr(&state, &writer, &registrations, id).await?;
    let picture = web::block(move || qr::png(&says))
        .await
        .map_err(ApiError::internal)?
        .map_err(ApiError::internal)?;
    live::looked(&state, trail, Action::QrViewed, id).await?;
    Ok(no_store().content_type("image/png").body(picture.bytes))
}

/// Show an invitation's QR code as SVG
#[utoipa::path(
    tag = "invitations", params(("id" = Uuid, Path, description = "The invitation's id")),
    responses(
        (status = 200, description = "The picture", body = String, content_type = "image/svg+xml"),
        (status = 409, description = "There is no live QR code", body = Problem),
    )
)]
#[get("/invitations/{id}/qr.svg")]
async fn get_invitation_qr_svg(
    state: web::Data<State>,
    writer: web::Data<Writer>,
    registrations: web::Data<Registrations>,
    trail: Trail,
    Id(id, ..): Id<Invitation>,
) -> Result<HttpResponse, ApiError> {
    let says = live::qr(&state, &writer, &registrations, id).await?;
    let picture = web::block(move || qr::svg(&says))
        .await
        .map_err(ApiError::internal)?
        .map_err(ApiError::internal)?;
    live::looked(&state, trail, Action::QrViewed, id).await?;
    Ok(no_store().content_type("image/svg+xml").body(picture.text))
}
