//! `/invitations`.

mod lifecycle;
mod secrets;
mod send;

use actix_web::{HttpRequest, HttpResponse, get, web};
use chrono::{DateTime, Utc};
use diesel::PgConnection;

use super::{
    domain::{Invitation, ListQuery},
    queries,
};
use crate::{
    db::DbError,
    http::{
        error::ApiError,
        extract::Params,
        list::{self, List},
        paging::{Page, Position},
        resource::{self, Id},
        route::Register,
    },
    model::caller::Permission,
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    send::routes(api);
    secrets::routes(api);
    lifecycle::routes(api);
    api.permit(Permission::Read, list_invitations)
        .permit(Permission::Read, get_invitation);
}

/// Invitations as they are at a time: what is pending then may have expired since.
struct Invitations {
    asked: ListQuery,
    now: DateTime<Utc>,
}

impl List for Invitations {
    type Row = Invitation;

    fn scope(&self) -> String {
        let asked = &self.asked;
        let filters = (
            asked.user_id,
            asked.batch_id,
            asked.state,
            asked.delivery,
            asked.method,
        );
        list::scope_of(&("invitations", filters))
    }

    fn rows(
        &self,
        connection: &mut PgConnection,
        after: Option<&Position>,
        limit: i64,
    ) -> Result<Vec<Invitation>, DbError> {
        queries::list(
            connection,
            &self.asked,
            after.map(|after| after.id),
            limit,
            self.now,
        )
    }

    fn count(&self, connection: &mut PgConnection) -> Result<i64, DbError> {
        queries::count(connection, &self.asked, self.now)
    }

    fn position(&self, last: &Invitation) -> Position {
        Position::of(last.id)
    }

    fn is_selective(&self) -> bool {
        true
    }
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
    Params(mut asked): Params<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    let (paging, now) = (asked.paging(), state.clock.now());
    list::page(&state, &request, paging, Invitations { asked, now }).await
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
    Id(id, ..): Id<Invitation>,
) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    resource::read(&state, &request, move |connection| {
        queries::get(connection, id, now)
    })
    .await
}
