//! Where handlers are put, each with what a caller needs for it.

use actix_web::{dev::HttpServiceFactory, web};
use utoipa_actix_web::{OpenApiFactory, service_config::ServiceConfig};

use crate::model::caller::Permission;

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Nothing, and it is not counted: a probe must not fail because others call too often.
    Uncounted,
    /// Nothing.
    Nothing,
    /// Nothing; what is sent is a secret, or a guess at one: counted for each client address.
    Secret,
    /// The same without a token; whoever sends one needs the permission, and is counted by it.
    SecretOr(Permission),
    /// A token whose role has the permission.
    Token(Permission),
    /// Any token, also while the database is away: to watch the service itself.
    AnyToken,
}

/// Where the handlers are put: into a server, into the table that the gate reads, or into the document that describes
/// them. Not into all at once: every thread of the server would keep the memory that the document took.
pub trait Register {
    /// Adds a handler and what its callers need; the first one that matches a request answers it.
    fn add(
        &mut self,
        needs: Needs,
        handler: impl HttpServiceFactory + OpenApiFactory + 'static,
    ) -> &mut Self;

    /// Adds a handler for callers whose role has the permission.
    fn permit(
        &mut self,
        permission: Permission,
        handler: impl HttpServiceFactory + OpenApiFactory + 'static,
    ) -> &mut Self {
        self.add(Needs::Token(permission), handler)
    }
}

impl Register for web::ServiceConfig {
    fn add(
        &mut self,
        _needs: Needs,
        handler: impl HttpServiceFactory + OpenApiFactory + 'static,
    ) -> &mut Self {
        self.service(handler)
    }
}

impl Register for ServiceConfig<'_> {
    fn add(
        &mut self,
        _needs: Needs,
        handler: impl HttpServiceFactory + OpenApiFactory + 'static,
    ) -> &mut Self {
        self.service(handler)
    }
}
