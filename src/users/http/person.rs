//! What one person may ask of an administrator: to see all that is held, and to have it erased.

use actix_web::{
    HttpResponse, get,
    http::header::{self, ContentDisposition, DispositionParam, DispositionType},
    post,
    web::{self, Bytes},
};
use futures_util::{StreamExt, stream};

use crate::{
    audit::Trail,
    http::{
        error::ApiError,
        extract::OptionalBody,
        problem::Problem,
        resource::{self, Expected, Id},
        route::Register,
    },
    invitations::domain::NoOptions,
    model::caller::Permission,
    state::State,
    users::{
        change,
        domain::User,
        held::{Export, HeldOfPerson},
    },
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    api.permit(Permission::Manage, export_user)
        .permit(Permission::Administer, erase_user);
}

/// Export what is held of a user
///
/// All of it as one object, for the person: without data of others and without live secrets. Not in it are counts of wrong
/// tries, which are kept for a day under a name that anybody may have tried, and events of imports, which name nobody. It is
/// written down that it was asked for. Read to the end: an answer that breaks off was not whole.
#[utoipa::path(
    tag = "users", params(("id" = Uuid, Path, description = "The user's id")),
    responses((status = 200, description = "All that is held", body = HeldOfPerson,
        headers(("Cache-Control" = String, description = "`no-store`"))))
)]
#[get("/users/{id}/export")]
async fn export_user(
    state: web::Data<State>,
    trail: Trail,
    Id(id, ..): Id<User>,
) -> Result<HttpResponse, ApiError> {
    let (export, head) = Export::begin(state.db.clone(), trail, state.keys.clone(), id).await?;
    let rest = stream::try_unfold(export, |mut export| async move {
        let part = export.advance().await.map_err(ApiError::from)?;
        Ok::<_, ApiError>(part.map(|part| (Bytes::from(part), export)))
    });
    let all = stream::iter([Ok(Bytes::from(head))]).chain(rest);
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(ContentDisposition {
            disposition: DispositionType::Attachment,
            parameters: vec![DispositionParam::Filename(format!("{id}.json"))],
        })
        .streaming(all))
}

/// Erase a user
///
/// Retires the devices and deletes the user, with all that tells of the person, also what the devices were known by: what is left, and for how long, is in the
/// documentation ("What is left of a person"). Nothing brings it back.
#[utoipa::path(
    tag = "users", request_body(content = Option<NoOptions>, content_type = "application/json"),
    params(
        ("id" = Uuid, Path, description = "The user's id"),
        ("If-Match" = Option<String>, Header, description = "Erase only the version with this `ETag`"),
    ),
    responses(
        (status = 204, description = "Erased"),
        (status = 412, description = "The user has changed since", body = Problem),
    )
)]
#[post("/users/{id}/erase")]
async fn erase_user(
    state: web::Data<State>,
    trail: Trail,
    Id(id, ..): Id<User>,
    expected: Expected,
    _body: OptionalBody<NoOptions>,
) -> Result<HttpResponse, ApiError> {
    resource::act(&state, move |connection| {
        change::erase(connection, &trail, id, &expected)
    })
    .await
}
