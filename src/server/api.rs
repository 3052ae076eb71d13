//! All routes of the API, and the application that answers them.

use actix_cors::Cors;
use actix_web::{
    App,
    body::MessageBody,
    dev::{ServiceFactory, ServiceRequest, ServiceResponse},
    http::header,
    middleware::{Condition, DefaultHeaders, from_fn},
    web,
};
use utoipa_swagger_ui::SwaggerUi;

use super::{
    draining::Draining,
    gate::{self, Gate},
    headers,
    health::{self, Document},
    observe,
    request_log::RequestLog,
    router::Routes,
};
use crate::{
    access::{self, Access},
    audit,
    batches::{self, progress::Progress},
    bounces, devices,
    embedded::mailbox::{self, Mailbox},
    enrollments::{self, landing::render::Pages, pin_requests::Line},
    groups,
    http::{limits::Limits, route::Register},
    invitations::{
        self,
        plan::{MailsADay, Untold},
    },
    mail::letter::Writer,
    outbox::registrations::Registrations,
    settings,
    state::State,
    trials::{self, Tester},
    users::{self, http::Uploads},
};

/// A year, as browsers want it before they believe that it is meant.
const HTTPS_ONLY: &str = "max-age=31536000";

/// All routes of the API.
pub fn api(api: &mut impl Register) {
    users::http::routes(api);
    groups::http::routes(api);
    settings::http::routes(api);
    invitations::http::routes(api);
    batches::http::routes(api);
    enrollments::http::routes(api);
    devices::http::routes(api);
    bounces::http::routes(api);
    trials::http::routes(api);
    access::http::routes(api);
    audit::http::routes(api);
    health::routes(api);
}

/// The table of all routes of the API and its documentation.
pub fn table() -> Routes {
    let mut routes = Routes::default();
    api(&mut routes);
    routes.with_docs()
}

/// The table of those routes that say how the service is: all that a mere worker answers.
pub fn table_of_health() -> Routes {
    let mut routes = Routes::default();
    health::health_routes(&mut routes);
    routes
}

/// What the threads of the server share: what every handler may use, and what belongs to one feature.
#[derive(Clone)]
pub struct Shared {
    pub state: web::Data<State>,
    pub gate: web::Data<Gate>,
    pub log: web::Data<RequestLog>,
    pub access: web::Data<Access>,
    pub writer: web::Data<Writer>,
    pub pages: web::Data<Pages>,
    pub registrations: web::Data<Registrations>,
    pub tester: web::Data<Tester>,
    pub limits: web::Data<Limits>,
    pub mails_a_day: web::Data<MailsADay>,
    pub untold: web::Data<Untold>,
    pub pin_requests: web::Data<Line>,
    pub progress: web::Data<Progress>,
    pub uploads: web::Data<Uploads>,
    pub document: web::Data<Document>,
    pub draining: web::Data<Draining>,
    pub mailbox: Option<web::Data<Mailbox>>,
    /// Whether people reach the service by https alone.
    pub is_https: bool,
}

impl Shared {
    fn register(&self, config: &mut web::ServiceConfig) {
        config
            .app_data(self.state.clone())
            .app_data(self.gate.clone())
            .app_data(self.log.clone())
            .app_data(self.access.clone())
            .app_data(self.writer.clone())
            .app_data(self.pages.clone())
            .app_data(self.registrations.clone())
            .app_data(self.tester.clone())
            .app_data(self.limits.clone())
            .app_data(self.mails_a_day.clone())
            .app_data(self.untold.clone())
            .app_data(self.pin_requests.clone())
            .app_data(self.progress.clone())
            .app_data(self.uploads.clone())
            .app_data(self.document.clone())
            .app_data(self.draining.clone());
    }
}

/// The application of one worker thread.
pub fn app(
    shared: &Shared,
    cors_origins: &[String],
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = ServiceResponse<impl MessageBody + use<>>,
        Error = actix_web::Error,
        InitError = (),
    > + use<>,
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
            "cache-control",
            "x-requested-with",
            "x-request-id",
            // What tracing in a browser adds (W3C Trace Context and Baggage).
            "traceparent",
            "tracestate",
            "baggage",
        ])
        .expose_headers([
            "location",
            "etag",
            "link",
            "retry-after",
            "idempotent-replayed",
            "x-request-id",
            "ratelimit",
            "ratelimit-policy",
            "allow",
            "content-disposition",
        ])
        .max_age(3_600);
    App::new()
        .configure(|config| shared.register(config))
        .configure(api)
        .configure(|config| {
            if let Some(mailbox) = &shared.mailbox {
                config.app_data(mailbox.clone());
                mailbox::routes(config);
            }
        })
        .service(web::redirect("/docs", "/docs/"))
        .service(
            SwaggerUi::new("/docs/{_:.*}")
                .config(utoipa_swagger_ui::Config::from("/openapi.json").try_it_out_enabled(true)),
        )
        .wrap(from_fn(gate::gate))
        .wrap(cors)
        .wrap(from_fn(headers::protect))
        .wrap(Condition::new(
            shared.is_https,
            DefaultHeaders::new().add((header::STRICT_TRANSPORT_SECURITY, HTTPS_ONLY)),
        ))
        .wrap(from_fn(observe::observe))
}
