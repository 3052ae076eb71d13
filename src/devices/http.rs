//! `/devices`.

use actix_web::{HttpRequest, HttpResponse, delete, get, web};
use diesel::PgConnection;

use super::{
    domain::{Device, ListQuery},
    queries,
    retire::retire,
};
use crate::{
    audit::Trail,
    db::DbError,
    http::{
        error::ApiError,
        extract::Params,
        list::{self, List},
        paging::{Page, Position},
        problem::Problem,
        resource::{self, Expected, Id},
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

impl List for ListQuery {
    type Row = Device;

    fn scope(&self) -> String {
        let (q, user) = (&self.q, self.user_id);
        list::scope_of(&("devices", q, user, self.platform, self.retired))
    }

    fn rows(
        &self,
        connection: &mut PgConnection,
        after: Option<&Position>,
        limit: i64,
    ) -> Result<Vec<Device>, DbError> {
        queries::list(connection, self, after.map(|after| after.id), limit)
    }

    fn count(&self, connection: &mut PgConnection) -> Result<i64, DbError> {
        queries::count(connection, self)
    }

    fn position(&self, last: &Device) -> Position {
        Position::of(last.id)
    }

    fn is_selective(&self) -> bool {
        true
    }
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
    Params(mut asked): Params<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    list::page(&state, &request, asked.paging(), asked).await
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
    Id(id, ..): Id<Device>,
) -> Result<HttpResponse, ApiError> {
    resource::read(&state, &request, move |connection| {
        queries::get(connection, id)
    })
    .await
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
        (status = 412, description = "The device has changed since", body = Problem),
    )
)]
#[delete("/devices/{id}")]
async fn retire_device(
    state: web::Data<State>,
    trail: Trail,
    Id(id, ..): Id<Device>,
    expected: Expected,
) -> Result<HttpResponse, ApiError> {
    resource::act(&state, move |connection| {
        retire(connection, &trail, id, &expected)
    })
    .await
}
