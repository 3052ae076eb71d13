//! `/api-keys`.

use actix_web::{HttpRequest, HttpResponse, delete, get, http::header, patch, post, web};
use diesel::PgConnection;
use uuid::Uuid;

use crate::{
    access::{
        domain::{ApiKey, CreateApiKey, NewApiKey, PageQuery, PatchApiKey},
        keys, manage_keys,
    },
    audit::Trail,
    db::DbError,
    http::{
        error::{ApiError, More},
        extract::{Body, Params},
        list::{self, List},
        once::{Done, Once},
        paging::{Page, Position},
        problem::Problem,
        resource::{self, Expected, Id},
        route::Register,
    },
    model::{caller::Permission, wire::Fault},
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    api.permit(Permission::Administer, list_api_keys)
        .permit(Permission::Administer, create_api_key)
        .permit(Permission::Administer, get_api_key)
        .permit(Permission::Administer, change_api_key)
        .permit(Permission::Administer, revoke_api_key);
}

/// The keys that are not revoked.
struct Keys;

impl List for Keys {
    type Row = ApiKey;

    fn scope(&self) -> String {
        "api-keys".to_owned()
    }

    fn rows(
        &self,
        connection: &mut PgConnection,
        after: Option<&Position>,
        limit: i64,
    ) -> Result<Vec<ApiKey>, DbError> {
        keys::list(connection, after, limit)
    }

    fn count(&self, connection: &mut PgConnection) -> Result<i64, DbError> {
        keys::count(connection)
    }

    fn position(&self, last: &ApiKey) -> Position {
        Position::of(last.id)
    }
}

/// List API keys
///
/// Those that are not revoked, the oldest first. Never the keys themselves.
#[utoipa::path(
    tag = "access", params(PageQuery),
    responses((status = 200, description = "One page", body = Page<ApiKey>))
)]
#[get("/api-keys")]
async fn list_api_keys(
    state: web::Data<State>,
    request: HttpRequest,
    Params(mut asked): Params<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    list::page(&state, &request, asked.paging(), Keys).await
}

/// Make an API key
///
/// The answer holds the key, this once. It is not stored, not even for an `Idempotency-Key`: a repeat is a 409
/// `already_done` with the `id` of the key that was made; whoever lost it revokes that one and makes another.
#[utoipa::path(
    tag = "access", request_body = CreateApiKey,
    params(("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key and body makes no second one")),
    responses(
        (status = 201, description = "Made", body = NewApiKey, headers(
            ("Location" = String, description = "The key"), ("Cache-Control" = String, description = "`no-store`"))),
        (status = 409, description = "`already_done`: this was answered before; or a request with the same idempotency key is running", body = Problem),
    )
)]
#[post("/api-keys")]
async fn create_api_key(
    state: web::Data<State>,
    trail: Trail,
    once: Once<Body<CreateApiKey>>,
) -> Result<HttpResponse, ApiError> {
    let CreateApiKey { name, role, .. } = once.value;
    let expires_at = once.value.expires_at.map(|time| time.0);
    if expires_at.is_some_and(|end| end <= state.clock.now()) {
        let fault = Fault::new("/expires_at", "in_the_past", "must be in the future");
        return Err(vec![fault].into());
    }
    let work = move |connection: &mut PgConnection| {
        let made = manage_keys::make(connection, &trail, name, role, expires_at)?;
        Ok(Done::created(format!("/api-keys/{}", made.about.id), made))
    };
    // What is kept for a repeat is the id alone.
    let store = |made: &NewApiKey| Ok(made.about.id.to_string());
    let (answer, made) = once.key.run_storing(&state, store, work).await?;
    let Some(made) = made else {
        return Err(made_before(&answer.body));
    };
    let mut response = HttpResponse::Created();
    if let Some(location) = answer.location {
        response.insert_header((header::LOCATION, location));
    }
    Ok(response
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(made))
}

/// A key is shown once: a repeat is told which one it was.
fn made_before(id: &str) -> ApiError {
    ApiError {
        more: Some(Box::new(More {
            id: Uuid::try_parse(id).ok(),
            ..More::default()
        })),
        ..ApiError::new(
            409,
            "already_done",
            format!(
                "This request made the key {id} before. Keys are shown once: if it is lost, revoke it and make another."
            ),
        )
    }
}

/// Get an API key
///
/// Without the key itself.
#[utoipa::path(
    tag = "access", params(("id" = Uuid, Path, description = "The key's id")),
    responses((status = 200, description = "The key", body = ApiKey))
)]
#[get("/api-keys/{id}")]
async fn get_api_key(
    state: web::Data<State>,
    request: HttpRequest,
    Id(id, ..): Id<ApiKey>,
) -> Result<HttpResponse, ApiError> {
    resource::read(&state, &request, move |connection| {
        keys::get(connection, id)
    })
    .await
}

/// Rename an API key
///
/// A JSON merge patch (RFC 7396). A key's role and end stay as they are: make another key instead.
#[utoipa::path(
    tag = "access", request_body = PatchApiKey,
    params(
        ("id" = Uuid, Path, description = "The key's id"),
        ("If-Match" = Option<String>, Header, description = "Change only the version with this `ETag`"),
    ),
    responses(
        (status = 200, description = "The key as changed", body = ApiKey),
        (status = 412, description = "The key has changed since", body = Problem),
    )
)]
#[patch("/api-keys/{id}")]
async fn change_api_key(
    state: web::Data<State>,
    trail: Trail,
    request: HttpRequest,
    Id(id, ..): Id<ApiKey>,
    expected: Expected,
    body: Body<PatchApiKey>,
) -> Result<HttpResponse, ApiError> {
    let name = body.value.name()?;
    resource::change(&state, &request, move |connection| {
        manage_keys::rename(connection, &trail, id, &expected, name)
    })
    .await
}

/// Revoke an API key
///
/// It ends for good, within a second on every instance.
#[utoipa::path(
    tag = "access",
    params(
        ("id" = Uuid, Path, description = "The key's id"),
        ("If-Match" = Option<String>, Header, description = "Revoke only the version with this `ETag`"),
    ),
    responses(
        (status = 204, description = "Revoked"),
        (status = 412, description = "The key has changed since", body = Problem),
    )
)]
#[delete("/api-keys/{id}")]
async fn revoke_api_key(
    state: web::Data<State>,
    trail: Trail,
    Id(id, ..): Id<ApiKey>,
    expected: Expected,
) -> Result<HttpResponse, ApiError> {
    resource::act(&state, move |connection| {
        manage_keys::revoke(connection, &trail, id, &expected)
    })
    .await
}
