//! `/devices`.

use actix_web::{HttpRequest, HttpResponse, delete, get, http::header, web};

use super::{
    domain::{Device, ListQuery},
    queries,
};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    http::{
        error::ApiError,
        etag,
        extract::{Id, Params, tags},
        paging::{self, Page, Position},
        respond,
        route::Register,
    },
    model::caller::Permission,
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    api.permit(Permission::Read, list_devices)
        .permit(Permission::Read, get_device)
        .permit(Permission::Manage, retire_device);
}

/// List devices
///
/// The newest first. Those that are held, unless `retired=true` asks for the others.
#[utoipa::path(
    tag = "devices", params(ListQuery),
    responses((status = 200, description = "One page", body = Page<Device>))
)]
#[get("/devices")]
async fn list_devices(
    state: web::Data<State>,
    request: HttpRequest,
    Params(asked): Params<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    let query = serde_json::to_string(&(
        "devices",
        &asked.q,
        asked.user_id,
        asked.platform,
        asked.retired,
    ))
    .map_err(ApiError::internal)?;
    let after = asked
        .cursor
        .as_deref()
        .map(|cursor| paging::open(&state.keys, &query, cursor))
        .transpose()
        .map_err(|fault| ApiError::invalid(vec![fault]))?
        .map(|position| position.id);
    let limit = asked.limit;
    let (rows, total) = state
        .db
        .search(move |connection| {
            let rows = queries::list(connection, &asked, after)?;
            let total = asked
                .count
                .then(|| queries::count(connection, &asked))
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

/// Get a device
///
/// Also one that was retired.
#[utoipa::path(
    tag = "devices", params(("id" = Uuid, Path, description = "The device's id")),
    responses((status = 200, description = "The device", body = Device))
)]
#[get("/devices/{id}")]
async fn get_device(
    state: web::Data<State>,
    request: HttpRequest,
    Id(id): Id,
) -> Result<HttpResponse, ApiError> {
    let device = state
        .db
        .read(move |connection| queries::get(connection, id))
        .await?
        .ok_or_else(|| ApiError::not_found("device"))?;
    Ok(respond::resource(&request, &device))
}

/// Retire a device
///
/// Its user may hold another one instead, and anybody may enroll it anew. Nothing happens on the device
/// itself. What is retired already stays so.
#[utoipa::path(
    tag = "devices",
    params(
        ("id" = Uuid, Path, description = "The device's id"),
        ("If-Match" = Option<String>, Header, description = "Retire only the version with this `ETag`"),
    ),
    responses(
        (status = 204, description = "Retired"),
        (status = 412, description = "The device has changed since", body = crate::http::problem::Problem),
    )
)]
#[delete("/devices/{id}")]
async fn retire_device(
    state: web::Data<State>,
    request: HttpRequest,
    Id(id): Id,
) -> Result<HttpResponse, ApiError> {
    let wanted = tags(&request, header::IF_MATCH);
    let (now, trail) = (state.clock.now(), Trail::current());
    state
        .db
        .transaction(move |connection| {
            let device =
                queries::lock(connection, id)?.ok_or_else(|| ApiError::not_found("device"))?;
            if wanted.is_some_and(|tags| !tags.match_strongly(&etag::of(&device))) {
                return Err(ApiError::precondition_failed());
            }
            queries::retire(connection, id, now)?;
            let event = Event::new(Action::DeviceRetired, SubjectKind::Device, id);
            trail.record(connection, &event)?;
            Ok::<_, ApiError>(())
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
