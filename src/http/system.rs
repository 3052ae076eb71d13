//! How the service is, and its documentation.

use std::sync::LazyLock;

use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::{Register, State, openapi};
use crate::error::ApiError;

/// Adds the handlers.
pub fn routes(config: &mut impl Register) {
    health_routes(config);
    config.service(get_openapi_document);
}

/// What a mere worker answers, too.
pub fn health_routes(config: &mut impl Register) {
    config.service(get_health).service(get_readiness);
}

/// That all is well.
#[derive(Serialize, ToSchema)]
struct Health {
    #[schema(value_type = String, examples("ok"))]
    status: &'static str,
    #[schema(value_type = String)]
    version: &'static str,
}

const WELL: Health = Health {
    status: "ok",
    version: env!("CARGO_PKG_VERSION"),
};

/// Whether the process is alive
#[utoipa::path(tag = "system", responses((status = 200, description = "It is", body = Health)))]
#[get("/healthz")]
async fn get_health() -> HttpResponse {
    HttpResponse::Ok().json(WELL)
}

/// Whether requests can be answered
///
/// The database answers and its schema is the one that this version needs.
#[utoipa::path(tag = "system", responses((status = 200, description = "They can", body = Health)))]
#[get("/readyz")]
async fn get_readiness(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    if state.db.is_migrated().await? {
        Ok(HttpResponse::Ok().json(WELL))
    } else {
        Err(ApiError {
            detail: "The database's schema is older than this version needs: run `enlist migrate`."
                .into(),
            ..ApiError::unavailable(5, "the schema is not migrated")
        })
    }
}

static DOCUMENT: LazyLock<String> = LazyLock::new(|| openapi::json().unwrap_or_default());

/// This document
#[utoipa::path(
    tag = "system",
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json"))
)]
#[get("/openapi.json")]
async fn get_openapi_document() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(DOCUMENT.as_str())
}
