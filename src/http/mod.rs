//! The HTTP side: routes, middleware, the OpenAPI document.

pub mod extract;
pub mod headers;
pub mod middleware;
pub mod openapi;
pub mod problem;
pub mod respond;
pub mod routes;
pub mod system;

use std::sync::Arc;

use actix_cors::Cors;
use actix_web::{
    App,
    body::MessageBody,
    dev::{HttpServiceFactory, ServiceFactory, ServiceRequest, ServiceResponse},
    middleware::from_fn,
    web,
};
use tokio::sync::{Notify, Semaphore};
use utoipa_actix_web::{OpenApiFactory, service_config::ServiceConfig};
use utoipa_swagger_ui::SwaggerUi;

use crate::{
    access::{self, Access},
    audit, bounces,
    clock::Clock,
    db::Db,
    devices,
    embedded::mailbox::{self, Mailbox},
    enrollments::{
        self,
        landing::{self, render::Pages},
    },
    groups,
    invitations::{self, letter::Writer, progress::Progress},
    limits::Limits,
    metrics::Metrics,
    proxies::Proxies,
    secrets::keys::KeyRing,
    settings::{self, cache::Registrations},
    users::{self, password::Hasher},
};
use routes::Routes;

/// What every handler may use.
pub struct State {
    pub db: Db,
    pub clock: Clock,
    pub keys: Arc<KeyRing>,
    pub access: Access,
    pub hasher: Hasher,
    pub limits: Limits,
    pub proxies: Proxies,
    pub writer: Arc<Writer>,
    pub pages: Pages,
    pub registrations: Registrations,
    pub routes: Routes,
    /// Rung when something was queued.
    pub bell: Arc<Notify>,
    pub metrics: Arc<Metrics>,
    /// Who watches which batch.
    pub progress: Progress,
    /// Places for files that are uploaded or wait: each is on disk.
    pub uploads: Arc<Semaphore>,
    /// Places for imports: each keeps some of its file in memory.
    pub imports: Semaphore,
    /// Whether people reach the service by https alone.
    pub is_https: bool,
    /// `enlist dev` shows PINs to whoever asks: it answers to its own machine's names only.
    pub local_only: bool,
}

/// Where the handlers are put: into a server, or into the document that describes them. Not into both at
/// once: every thread of the server would keep the memory that the document took.
pub trait Register {
    /// Adds a handler; the first one that matches a request answers it.
    fn service(&mut self, handler: impl HttpServiceFactory + OpenApiFactory + 'static)
    -> &mut Self;
}

impl Register for web::ServiceConfig {
    fn service(
        &mut self,
        handler: impl HttpServiceFactory + OpenApiFactory + 'static,
    ) -> &mut Self {
        self.service(handler)
    }
}

impl Register for ServiceConfig<'_> {
    fn service(
        &mut self,
        handler: impl HttpServiceFactory + OpenApiFactory + 'static,
    ) -> &mut Self {
        self.service(handler)
    }
}

/// All routes of the API.
pub fn api(config: &mut impl Register) {
    // Before `/users/{id}`: the first match decides.
    users::transfer_http::routes(config);
    users::http::routes(config);
    groups::http::routes(config);
    settings::http::routes(config);
    invitations::http::routes(config);
    landing::http::routes(config);
    enrollments::http::routes(config);
    devices::http::routes(config);
    bounces::http::routes(config);
    access::keys_http::routes(config);
    access::sessions_http::routes(config);
    access::operators_http::routes(config);
    audit::http::routes(config);
    system::routes(config);
}

/// The application of one worker thread.
pub fn app(
    state: web::Data<State>,
    cors_origins: Vec<String>,
    mailbox: Option<web::Data<Mailbox>>,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody>,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    let cors = cors_origins
        .iter()
        .fold(Cors::default(), |cors, origin| cors.allowed_origin(origin))
        .allowed_methods(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
        .allowed_headers([
            "authorization",
            "content-type",
            "idempotency-key",
            "if-match",
            "if-none-match",
            "last-event-id",
        ])
        .expose_headers([
            "location",
            "etag",
            "link",
            "retry-after",
            "idempotent-replayed",
            "x-request-id",
        ])
        .max_age(3_600);
    App::new()
        .app_data(state)
        .configure(api)
        .configure(|config| {
            if let Some(mailbox) = mailbox {
                config.app_data(mailbox);
                mailbox::routes(config);
            }
        })
        .service(web::redirect("/docs", "/docs/"))
        .service(
            SwaggerUi::new("/docs/{_:.*}")
                .config(utoipa_swagger_ui::Config::from("/openapi.json").try_it_out_enabled(true)),
        )
        .wrap(from_fn(middleware::gate))
        .wrap(cors)
        .wrap(from_fn(headers::protect))
        .wrap(from_fn(middleware::observe))
}
