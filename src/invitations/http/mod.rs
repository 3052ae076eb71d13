//! `/invitations`.

pub mod lifecycle;

use actix_web::{
    HttpRequest, HttpResponse, HttpResponseBuilder, get,
    http::header::{self, Accept, Header},
    post, web,
};
use uuid::Uuid;

use super::{
    domain::{Invitation, ListQuery, PreviewRequest, SendRequest},
    pins::{self, LivePin, Pins, PinsError},
    preview::{self, Asked, Preview, PreviewError, Sample},
    queries::{self, Derivation},
    send::{self, Sent},
};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    http::{
        error::ApiError,
        extract::{Body, Id, Params, SELECTION},
        idempotent::{self, Answer, Scope},
        paging::{self, Page, Position},
        respond,
        route::Register,
    },
    mail::{letter::Writer, qr},
    model::{
        caller::{Caller, Permission},
        invitation::{Method, State as InvitationState},
        wire::Fault,
    },
    outbox::registrations::Registrations,
    secrets::token,
    selection::{domain::Selection, queries::SelectionError},
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    api.permit(Permission::Manage, preview_invitations)
        .permit(Permission::Manage, send_invitations)
        .permit(Permission::ReadSecrets, show_pins);
    lifecycle::routes(api);
    api.permit(Permission::Read, list_invitations)
        .permit(Permission::Read, get_invitation)
        .permit(Permission::ReadSecrets, get_invitation_pin)
        .permit(Permission::ReadSecrets, get_invitation_qr_png)
        .permit(Permission::ReadSecrets, get_invitation_qr_svg);
}

/// What a client is told of a selection that was not taken.
pub fn from_selection(error: SelectionError) -> ApiError {
    match error {
        SelectionError::Empty => ApiError {
            faults: vec![Fault::new(
                "",
                "empty_selection",
                "give user_ids, group_ids or filter; `\"filter\": {}` selects every user",
            )],
            ..ApiError::new(
                422,
                "empty_selection",
                "Nobody is selected: give `user_ids`, `group_ids` or `filter` (`{}` selects every user).",
            )
        },
        SelectionError::Unknown(faults) => faults.into(),
        SelectionError::TooMany => ApiError::new(
            422,
            "too_many_recipients",
            "More than 100,000 users are selected; send to them in several requests.",
        ),
        SelectionError::Db(error) => error.into(),
    }
}

/// Refuses a selection that selects nobody, or everybody by mistake.
pub(super) fn check(selection: &Selection) -> Result<(), ApiError> {
    if selection.is_empty() {
        return Err(from_selection(SelectionError::Empty));
    }
    let q = selection
        .filter
        .as_ref()
        .and_then(|filter| filter.q.as_ref());
    if q.is_some_and(|q| q.as_str().is_empty()) {
        return Err(ApiError::invalid(vec![Fault::new(
            "/filter/q",
            "empty",
            "must not be blank: leave it out to select without it",
        )]));
    }
    Ok(())
}

impl From<PreviewError> for ApiError {
    fn from(error: PreviewError) -> Self {
        match error {
            PreviewError::Selection(error) => from_selection(error),
            PreviewError::BadSample(fault) => Self::invalid(vec![fault]),
            PreviewError::Render(error) => Self::internal(error),
            PreviewError::Mime(error) => Self::internal(error),
        }
    }
}

impl From<PinsError> for ApiError {
    fn from(error: PinsError) -> Self {
        match error {
            PinsError::Selection(SelectionError::TooMany) => Self::new(
                422,
                "too_many_recipients",
                "More than 1,000 users are selected; ask for their PINs in several requests.",
            ),
            PinsError::Selection(error) => from_selection(error),
            PinsError::Key(error) => Self::internal(error),
        }
    }
}

/// What the answer of a preview may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shape {
    Json,
    Html,
    Mail,
}

/// The best of the shapes that `Accept` takes; JSON where it does not say.
fn shape(request: &HttpRequest) -> Shape {
    let Ok(accept) = Accept::parse(request) else {
        return Shape::Json;
    };
    accept
        .ranked()
        .iter()
        .find_map(
            |kind| match (kind.type_().as_str(), kind.subtype().as_str()) {
                ("text", "html") => Some(Shape::Html),
                ("message", "rfc822") => Some(Shape::Mail),
                ("application" | "*", "json" | "*") => Some(Shape::Json),
                _ => None,
            },
        )
        .unwrap_or(Shape::Json)
}

/// Preview an invitation
///
/// Shows the very message that `send` would produce, with a placeholder for the secret, for whom,
/// and what will not go as asked. Nothing is issued, sent or stored. With `Accept: text/html` the
/// answer is the message's HTML; with `message/rfc822`, the whole mail.
#[utoipa::path(
    tag = "invitations", request_body = PreviewRequest,
    responses((status = 200, description = "The preview", content(
        (Preview = "application/json"), (String = "text/html"), (String = "message/rfc822")
    )))
)]
#[post("/invitations/preview")]
async fn preview_invitations(
    state: web::Data<State>,
    writer: web::Data<Writer>,
    request: HttpRequest,
    body: Body<PreviewRequest, SELECTION>,
) -> Result<HttpResponse, ApiError> {
    let shape = shape(&request);
    let mut body = body.value;
    let sample_user_id = body.sample_user_id.take();
    let limit = body.limit.0 as usize;
    let (selection, overrides) = body.into_parts();
    check(&selection)?;
    let asked = Asked {
        selection,
        overrides,
        sample_user_id,
        limit,
    };
    let (shared, now) = (writer.clone(), state.clock.now());
    let (preview, sample) = state
        .db
        .transaction(move |connection| {
            preview::preview(connection, &shared, &asked, now).map_err(ApiError::from)
        })
        .await?;
    match shape {
        Shape::Json => Ok(HttpResponse::Ok().json(preview)),
        Shape::Html => {
            let sample = sample.ok_or_else(no_message)?;
            Ok(HttpResponse::Ok()
                .content_type("text/html; charset=utf-8")
                .insert_header((
                    header::CONTENT_SECURITY_POLICY,
                    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; sandbox",
                ))
                .body(preview::standalone_html(&sample.rendered)))
        }
        Shape::Mail => {
            let Sample {
                user_id,
                to,
                rendered,
            } = sample.ok_or_else(no_message)?;
            let mail = writer
                .seal(&to, user_id, None, now, &rendered)
                .map_err(ApiError::internal)?;
            Ok(HttpResponse::Ok()
                .content_type("message/rfc822")
                .body(mail.formatted()))
        }
    }
}

fn no_message() -> ApiError {
    ApiError::new(
        422,
        "no_message",
        "Nobody of the selected users would get a message; ask for JSON to see why.",
    )
}

/// Send invitations
///
/// Invitations and their messages are stored together; delivery begins at once. Who already has a
/// pending invitation gets a new one, and the old one no longer works. A user who cannot be invited
/// is reported, and holds nobody else back.
#[utoipa::path(
    tag = "invitations", request_body = SendRequest,
    params(("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key and body gets the first answer")),
    responses((status = 202, description = "Taken", body = Sent, headers(("Location" = String, description = "The batch"))))
)]
#[post("/invitations/send")]
async fn send_invitations(
    state: web::Data<State>,
    caller: Caller,
    request: HttpRequest,
    body: Body<SendRequest, SELECTION>,
) -> Result<HttpResponse, ApiError> {
    let scope = Scope::of(
        &request,
        &caller,
        "POST /invitations/send",
        &body.bytes,
        &state.keys,
    )?;
    let (bytes, (selection, overrides)) = (body.bytes, body.value.into_parts());
    check(&selection)?;
    let (shared, trail) = (state.clone(), Trail::current());
    let answer = state
        .db
        .transaction(move |connection| {
            let now = shared.clock.now();
            idempotent::once(connection, scope.as_ref(), &bytes, &shared.keys, now, |connection| {
                let sent = send::send(
                    connection,
                    &shared.clock,
                    shared.keys.signing(),
                    &caller.label(),
                    &selection,
                    &overrides,
                )
                .map_err(from_selection)?;
                trail.record(connection, &sent.event())?;
                tracing::info!(
                    batch_id = %sent.batch_id, recipients = sent.recipient_count, skipped = sent.skipped_count,
                    "invitations are sent"
                );
                Ok::<_, ApiError>(Answer {
                    status: 202,
                    location: Some(format!("/batches/{}", sent.batch_id)),
                    body: serde_json::to_string(&sent).map_err(ApiError::internal)?,
                    replayed: false,
                })
            })
        })
        .await?;
    state.bell.notify_one();
    Ok(respond::answer(&answer))
}

/// List invitations
///
/// Newest first.
#[utoipa::path(
    tag = "invitations", params(ListQuery),
    responses((status = 200, description = "One page", body = Page<Invitation>))
)]
#[get("/invitations")]
async fn list_invitations(
    state: web::Data<State>,
    request: HttpRequest,
    Params(asked): Params<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    let filters = (
        asked.user_id,
        asked.batch_id,
        asked.state,
        asked.delivery,
        asked.method,
    );
    let query = serde_json::to_string(&("invitations", filters)).map_err(ApiError::internal)?;
    let after = open(&state, &query, asked.cursor.as_deref())?.map(|position| position.id);
    let (now, limit) = (state.clock.now(), asked.limit);
    let (rows, total) = state
        .db
        .search(move |connection| {
            let rows = queries::list(connection, &asked, after, now)?;
            let total = asked
                .count
                .then(|| queries::count(connection, &asked, now))
                .transpose()?;
            Ok((rows, total))
        })
        .await?;
    let page = Page::of(rows, limit, total, |last| {
        let position = Position {
            key: String::new(),
            id: last.id,
        };
        paging::seal(&state.keys, &query, &position)
    });
    Ok(respond::page(
        &request,
        page.write().map_err(ApiError::internal)?,
    ))
}

fn open(state: &State, query: &str, cursor: Option<&str>) -> Result<Option<Position>, ApiError> {
    cursor
        .map(|cursor| paging::open(&state.keys, query, cursor))
        .transpose()
        .map_err(|fault| ApiError::invalid(vec![fault]))
}

/// Get an invitation
#[utoipa::path(
    tag = "invitations", params(("id" = Uuid, Path, description = "The invitation's id")),
    responses((status = 200, description = "The invitation", body = Invitation))
)]
#[get("/invitations/{id}")]
async fn get_invitation(
    state: web::Data<State>,
    request: HttpRequest,
    Id(id): Id,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let invitation = state
        .db
        .read(move |connection| queries::get(connection, id, now))
        .await?
        .ok_or_else(|| ApiError::not_found("invitation"))?;
    Ok(respond::resource(&request, &invitation))
}

/// Show an invitation's PIN
///
/// For an administrator who reads it out. 409 `not_applicable` when the invitation has no PIN or is
/// no longer pending.
#[utoipa::path(
    tag = "invitations", params(("id" = Uuid, Path, description = "The invitation's id")),
    responses(
        (status = 200, description = "The live PIN", body = LivePin),
        (status = 409, description = "There is no live PIN", body = crate::http::problem::Problem),
    )
)]
#[get("/invitations/{id}/pin")]
async fn get_invitation_pin(
    state: web::Data<State>,
    caller: Caller,
    Id(id): Id,
) -> Result<HttpResponse, ApiError> {
    let derivation = live(&state, id, Method::has_pin).await?;
    let pin = pins::live(&state.keys, &derivation, state.clock.now())
        .map_err(ApiError::internal)?
        .ok_or_else(|| {
            not_applicable("The PIN has expired, or was guessed at too often; send the invitation again for a new one.")
        })?;
    let looked = Event::new(Action::PinViewed, SubjectKind::Invitation, id);
    Ok(secret(&state, &caller, looked).await?.json(pin))
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
    caller: Caller,
    body: Body<Selection, SELECTION>,
) -> Result<HttpResponse, ApiError> {
    let selection = body.value;
    check(&selection)?;
    let (keys, now, trail) = (state.keys.clone(), state.clock.now(), Trail::current());
    let pins = state
        .db
        .transaction(move |connection| {
            let pins =
                pins::of_users(connection, &keys, &selection, now).map_err(ApiError::from)?;
            let shown: Vec<Uuid> = pins.data.iter().map(|pin| pin.invitation_id).collect();
            let looked = Event::new(Action::PinsViewed, SubjectKind::Invitation, None);
            trail.record(
                connection,
                &looked.after(&serde_json::json!({"invitation_ids": shown})),
            )?;
            Ok::<_, ApiError>(pins)
        })
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
        (status = 409, description = "There is no live QR code", body = crate::http::problem::Problem),
    )
)]
#[get("/invitations/{id}/qr.png")]
async fn get_invitation_qr_png(
    state: web::Data<State>,
    writer: web::Data<Writer>,
    registrations: web::Data<Registrations>,
    caller: Caller,
    Id(id): Id,
) -> Result<HttpResponse, ApiError> {
    let says = live_payload(&state, &writer, &registrations, id).await?;
    let picture = web::block(move || qr::png(&says))
        .await
        .map_err(ApiError::internal)?
        .map_err(ApiError::internal)?;
    let looked = Event::new(Action::QrViewed, SubjectKind::Invitation, id);
    Ok(secret(&state, &caller, looked)
        .await?
        .content_type("image/png")
        .body(picture.bytes))
}

/// Show an invitation's QR code as SVG
#[utoipa::path(
    tag = "invitations", params(("id" = Uuid, Path, description = "The invitation's id")),
    responses(
        (status = 200, description = "The picture", body = String, content_type = "image/svg+xml"),
        (status = 409, description = "There is no live QR code", body = crate::http::problem::Problem),
    )
)]
#[get("/invitations/{id}/qr.svg")]
async fn get_invitation_qr_svg(
    state: web::Data<State>,
    writer: web::Data<Writer>,
    registrations: web::Data<Registrations>,
    caller: Caller,
    Id(id): Id,
) -> Result<HttpResponse, ApiError> {
    let says = live_payload(&state, &writer, &registrations, id).await?;
    let picture = web::block(move || qr::svg(&says))
        .await
        .map_err(ApiError::internal)?
        .map_err(ApiError::internal)?;
    let looked = Event::new(Action::QrViewed, SubjectKind::Invitation, id);
    Ok(secret(&state, &caller, looked)
        .await?
        .content_type("image/svg+xml")
        .body(picture.text))
}

/// What an invitation's QR code says, as its message says it.
async fn live_payload(
    state: &State,
    writer: &Writer,
    registrations: &web::Data<Registrations>,
    id: Uuid,
) -> Result<String, ApiError> {
    let live = live(state, id, |method| method == Method::Qr).await?;
    let (registrations, version) = (registrations.get_ref().clone(), live.registration_id);
    let registration = state
        .db
        .read(move |connection| registrations.get(connection, version))
        .await?;
    let key = state
        .keys
        .require(&live.key_id)
        .map_err(ApiError::internal)?;
    let token = token::mint(key, live.id, live.counter);
    let link = writer.link(&token);
    Ok(registration.qr_payload.says(&token, &link))
}

fn not_applicable(detail: &'static str) -> ApiError {
    ApiError::new(409, "not_applicable", detail)
}

/// A pending invitation whose method has what is asked for.
async fn live(
    state: &State,
    id: Uuid,
    applies: fn(Method) -> bool,
) -> Result<Derivation, ApiError> {
    let now = state.clock.now();
    let derivation = state
        .db
        .read(move |connection| queries::derivation(connection, id, now))
        .await?
        .ok_or_else(|| ApiError::not_found("invitation"))?;
    if !applies(derivation.method) {
        return Err(not_applicable("This invitation's method does not use it."));
    }
    if derivation.state != InvitationState::Pending {
        return Err(not_applicable("This invitation is no longer pending."));
    }
    Ok(derivation)
}

/// An answer with a secret: never stored on its way, and only given once it is written down who looked at whose.
async fn secret(
    state: &State,
    caller: &Caller,
    looked: Event,
) -> Result<HttpResponseBuilder, ApiError> {
    let (action, invitation) = (looked.action, looked.subject.id);
    let trail = Trail::current();
    state
        .db
        .transaction(move |connection| trail.record(connection, &looked))
        .await?;
    tracing::info!(
        caller = caller.label(),
        invitation_id = invitation.map(tracing::field::display),
        %action,
        "a live secret was shown"
    );
    Ok(no_store())
}

fn no_store() -> HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response
}
