//! `/api-keys`.

use actix_web::{HttpRequest, HttpResponse, delete, get, http::header, patch, post, web};
use diesel::prelude::*;
use secrecy::ExposeSecret;
use serde_json::json;
use uuid::Uuid;

use crate::{
    access::{
        domain::{ApiKey, CreateApiKey, KeyName, NewApiKey, PageQuery, PatchApiKey},
        keys,
    },
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    http::{
        error::{ApiError, More},
        etag,
        extract::{Body, Id, Params, tags},
        idempotent::{self, Answer, Scope},
        paging::{self, Page, Position},
        problem::Problem,
        respond,
        route::Register,
    },
    model::{
        caller::{Caller, Permission},
        wire::{Fault, Patch},
    },
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

/// Where a page that ends with this id ended.
pub(super) fn position(id: Uuid) -> Position {
    Position {
        key: String::new(),
        id,
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
    Params(asked): Params<PageQuery>,
) -> Result<HttpResponse, ApiError> {
    let query = "api-keys";
    let after = asked
        .cursor
        .as_deref()
        .map(|cursor| paging::open(&state.keys, query, cursor))
        .transpose()
        .map_err(|fault| ApiError::invalid(vec![fault]))?;
    let (rows, total) = state
        .db
        .read(move |connection| {
            let rows = keys::list(connection, after.as_ref(), asked.limit.probe())?;
            let total = asked.count.then(|| keys::count(connection)).transpose()?;
            Ok((rows, total))
        })
        .await?;
    let page = Page::of(rows, asked.limit, total, |last| {
        paging::seal(&state.keys, query, &position(last.id))
    });
    Ok(respond::page(
        &request,
        page.write().map_err(ApiError::internal)?,
    ))
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
    caller: Caller,
    request: HttpRequest,
    body: Body<CreateApiKey>,
) -> Result<HttpResponse, ApiError> {
    let scope = Scope::of(
        &request,
        &caller,
        "POST /api-keys",
        &body.bytes,
        &state.keys,
    )?;
    let (wanted, bytes) = (body.value, body.bytes);
    let expires_at = wanted.expires_at.map(|time| time.0);
    if expires_at.is_some_and(|end| end <= state.clock.now()) {
        return Err(vec![Fault::new(
            "/expires_at",
            "in_the_past",
            "must be in the future",
        )]
        .into());
    }
    let (shared, trail) = (state.clone(), Trail::current());
    let (answer, made) = state
        .db
        .transaction(move |connection| {
            let now = shared.clock.now();
            let mut made = None;
            let answer = idempotent::once(
                connection,
                scope.as_ref(),
                &bytes,
                &shared.keys,
                now,
                |connection| {
                    let about = ApiKey {
                        id: shared.clock.new_id(),
                        name: wanted.name.as_str().to_owned(),
                        role: wanted.role,
                        created_at: now,
                        expires_at,
                        last_used_at: None,
                    };
                    let (id, role) = (about.id, about.role);
                    let key = keys::create(connection, id, &about.name, role, expires_at, now)?;
                    let event = Event::new(Action::ApiKeyCreated, SubjectKind::ApiKey, id);
                    trail.record(connection, &event.after(&about))?;
                    made = Some(NewApiKey {
                        about,
                        key: key.expose_secret().to_owned(),
                    });
                    // What is kept for a repeat is the id alone.
                    Ok::<_, ApiError>(Answer {
                        status: 201,
                        location: Some(format!("/api-keys/{id}")),
                        body: id.to_string(),
                        replayed: false,
                    })
                },
            )?;
            Ok::<_, ApiError>((answer, made))
        })
        .await?;
    let Some(made) = made else {
        return Err(ApiError {
            more: Some(Box::new(More {
                id: Uuid::try_parse(&answer.body).ok(),
                ..More::default()
            })),
            ..ApiError::new(
                409,
                "already_done",
                format!(
                    "This request made the key {} before. Keys are shown once: if it is lost, revoke it and make another.",
                    answer.body
                ),
            )
        });
    };
    let mut response = HttpResponse::Created();
    if let Some(location) = answer.location {
        response.insert_header((header::LOCATION, location));
    }
    Ok(response
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(made))
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
    Id(id): Id,
) -> Result<HttpResponse, ApiError> {
    let key = state
        .db
        .read(move |connection| keys::get(connection, id))
        .await?
        .ok_or_else(|| ApiError::not_found("API key"))?;
    Ok(respond::resource(&request, &key))
}

fn lock(
    connection: &mut PgConnection,
    id: Uuid,
    wanted: Option<&etag::Tags>,
) -> Result<ApiKey, ApiError> {
    let key = keys::lock(connection, id)?.ok_or_else(|| ApiError::not_found("API key"))?;
    match wanted {
        Some(tags) if !tags.match_strongly(&etag::of(&key)) => Err(ApiError::precondition_failed()),
        _ => Ok(key),
    }
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
    request: HttpRequest,
    Id(id): Id,
    body: Body<PatchApiKey>,
) -> Result<HttpResponse, ApiError> {
    let wanted = tags(&request, header::IF_MATCH);
    let name: Option<KeyName> = match body.value.name {
        Patch::Keep => None,
        Patch::Set(name) => Some(name),
        Patch::Clear => {
            let fault = Fault::new("/name", "required", "a key needs a name");
            return Err(vec![fault].into());
        }
    };
    let trail = Trail::current();
    let key = state
        .db
        .transaction(move |connection| {
            let key = lock(connection, id, wanted.as_ref())?;
            let Some(name) = name else {
                return Ok(key);
            };
            keys::rename(connection, id, &name)?;
            let event = Event::new(Action::ApiKeyRenamed, SubjectKind::ApiKey, id)
                .before(&json!({"name": key.name}))
                .after(&json!({"name": name.as_str()}));
            trail.record(connection, &event)?;
            Ok::<_, ApiError>(ApiKey {
                name: name.into_string(),
                ..key
            })
        })
        .await?;
    Ok(respond::resource(&request, &key))
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
    request: HttpRequest,
    Id(id): Id,
) -> Result<HttpResponse, ApiError> {
    let wanted = tags(&request, header::IF_MATCH);
    let (clock, trail) = (state.clock.clone(), Trail::current());
    state
        .db
        .transaction(move |connection| {
            let key = lock(connection, id, wanted.as_ref())?;
            keys::revoke(connection, id, clock.now())?;
            let event = Event::new(Action::ApiKeyRevoked, SubjectKind::ApiKey, id);
            trail.record(connection, &event.before(&key))?;
            Ok::<_, ApiError>(())
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}
