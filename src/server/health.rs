//! How the service is, and its documentation.

use std::{sync::OnceLock, time::Duration};

use actix_web::{HttpResponse, get, web};
use serde::Serialize;
use utoipa::ToSchema;

use super::draining::Draining;
use crate::{
    audit, bounces,
    db::{DbError, Readiness},
    http::{
        error::ApiError,
        route::{Needs, Register},
    },
    metrics::{self, OfAll},
    outbox::depth,
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    health_routes(api);
    api.add(Needs::Nothing, get_openapi_document);
}

/// What a mere worker answers, too.
pub fn health_routes(api: &mut impl Register) {
    api.add(Needs::Uncounted, get_health)
        .add(Needs::Uncounted, get_readiness)
        .add(Needs::AnyToken, get_metrics);
}

/// That all is well.
#[derive(Serialize, ToSchema)]
struct Health {
    #[schema(value_type = String, examples("ok"))]
    status: &'static str,
    #[schema(value_type = String)]
    version: &'static str,
}

/// How long somebody who asks how the service is waits for the database.
const WAIT_FOR_DATABASE: Duration = Duration::from_secs(2);

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
/// The database answers, takes writes, and its schema is the one that this version needs; and the instance was not told to
/// stop.
#[utoipa::path(tag = "system", responses((status = 200, description = "They can", body = Health)))]
#[get("/readyz")]
async fn get_readiness(
    state: web::Data<State>,
    draining: web::Data<Draining>,
) -> Result<HttpResponse, ApiError> {
    if draining.is_on() {
        return Err(ApiError {
            detail: "This instance was told to stop; others answer.".into(),
            ..ApiError::unavailable(5, "it was told to stop")
        });
    }
    let readiness = tokio::time::timeout(WAIT_FOR_DATABASE, state.db.readiness()).await;
    let readiness =
        readiness.map_err(|_| ApiError::unavailable(2, "the database does not answer"))?;
    let (detail, reason) = match readiness? {
        Readiness::Ready => return Ok(HttpResponse::Ok().json(WELL)),
        Readiness::NotMigrated => (
            "The database's schema is older than this version needs: run `enlist migrate`.",
            "the schema is not migrated",
        ),
        Readiness::ReadOnly => (
            "The database takes no writes: it is a standby, or was told to be read-only.",
            "the database is read-only",
        ),
    };
    Err(ApiError {
        detail: detail.into(),
        ..ApiError::unavailable(5, reason)
    })
}

/// What the service counts
///
/// In the text format of Prometheus; any token will do. Everything that begins with `enlist_queue_` is of all instances
/// and left out while the database is away, all else is of the one that answers.
#[utoipa::path(
    tag = "system",
    responses((status = 200, description = "Prometheus text format 0.0.4", body = String, content_type = "text/plain"))
)]
#[get("/metrics")]
async fn get_metrics(state: web::Data<State>) -> Result<HttpResponse, ApiError> {
    let now = state.clock.now();
    let look = state.db.transaction(move |connection| {
        Ok::<_, DbError>(OfAll {
            queue: depth::look(connection, now)?,
            bounces: bounces::queries::counts(connection)?,
            lost_ends: audit::queries::lost_ends(connection)?,
        })
    });
    let queue = match tokio::time::timeout(WAIT_FOR_DATABASE, look).await {
        Ok(Ok(queue)) => Some(queue),
        Ok(Err(error)) => {
            tracing::warn!(%error, "the queue cannot be measured");
            None
        }
        Err(_) => {
            tracing::warn!("the queue cannot be measured in time");
            None
        }
    };
    let text = state
        .metrics
        .text(state.db.usage(), queue.as_ref())
        .map_err(ApiError::internal)?;
    Ok(HttpResponse::Ok().content_type(metrics::TEXT).body(text))
}

/// The OpenAPI document, made when it is asked for first.
pub struct Document {
    make: fn() -> String,
    text: OnceLock<String>,
}

impl Document {
    /// The document that `make` gives.
    pub const fn new(make: fn() -> String) -> Self {
        Self {
            make,
            text: OnceLock::new(),
        }
    }

    fn text(&self) -> &str {
        self.text.get_or_init(self.make)
    }
}

/// This document
#[utoipa::path(
    tag = "system",
    responses((status = 200, description = "OpenAPI 3.1", body = Object, content_type = "application/json"))
)]
#[get("/openapi.json")]
async fn get_openapi_document(document: web::Data<Document>) -> HttpResponse {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(document.text().to_owned())
}
