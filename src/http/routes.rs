//! Every route there is, read from what the handlers tell the OpenAPI document: so the document, the
//! 404s, the 405s and the gate cannot disagree.

use actix_web::{
    dev::{HttpServiceFactory, ResourceDef},
    http::Method,
};
use utoipa::openapi::{
    PathItem, RefOr,
    path::{Operation, ParameterIn},
    security::SecurityRequirement,
};
use utoipa_actix_web::OpenApiFactory;

use super::{Register, api, system};

/// How a path and a method fit the routes.
#[derive(Debug, PartialEq, Eq)]
pub enum Match {
    /// Anybody may call it.
    Public,
    /// Anybody may call it, and whoever shows a key is somebody; it takes no query.
    Open,
    /// Needs a key.
    Protected {
        /// Whether the operation takes query parameters; it names the unknown ones itself then.
        takes_query: bool,
    },
    /// The path is known, the method is not: the value of `Allow`.
    OtherMethods(String),
    /// No such path.
    Unknown,
}

struct Route {
    path: ResourceDef,
    /// Literal segments first: `/users/export` before `/users/{id}`.
    parameters: usize,
    methods: Vec<Known>,
}

struct Known {
    method: Method,
    access: Access,
    takes_query: bool,
}

/// What an operation's `security` list says.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// Empty.
    Public,
    /// Holds the empty requirement among others.
    Open,
    /// Says nothing: what holds for all.
    Protected,
}

/// The table of all routes.
pub struct Routes(Vec<Route>);

impl Register for Routes {
    /// Reads a handler's routes. An operation with an empty `security` list is public; one whose list holds
    /// the empty requirement is open to those without a key, too.
    fn service(
        &mut self,
        handler: impl HttpServiceFactory + OpenApiFactory + 'static,
    ) -> &mut Self {
        for (path, item) in handler.paths().paths {
            let methods = operations(&item).map(|(method, operation)| Known {
                method,
                access: access(operation),
                takes_query: takes_query(operation),
            });
            let known = |route: &&mut Route| route.path.pattern() == Some(path.as_str());
            match self.0.iter_mut().find(known) {
                Some(route) => route.methods.extend(methods),
                None => self.0.push(Route {
                    path: ResourceDef::new(path.as_str()),
                    parameters: path.matches('{').count(),
                    methods: methods.collect(),
                }),
            }
        }
        self
    }
}

impl Routes {
    /// All routes of the API and its documentation.
    pub fn all() -> Self {
        let mut routes = Self(Vec::new());
        api(&mut routes);
        // The bundled documentation is made of files, not operations.
        routes.0.push(Route {
            path: ResourceDef::prefix("/docs"),
            parameters: 1,
            methods: vec![Known {
                method: Method::GET,
                access: Access::Public,
                takes_query: true,
            }],
        });
        routes.0.sort_by_key(|route| route.parameters);
        routes
    }

    /// Only those that say how the service is.
    pub fn of_health() -> Self {
        let mut routes = Self(Vec::new());
        system::health_routes(&mut routes);
        routes
    }

    /// Adds a page for `enlist dev`, which looks after its own methods and callers.
    pub fn with_page(mut self, prefix: &'static str) -> Self {
        let known = |method| Known {
            method,
            access: Access::Public,
            takes_query: true,
        };
        self.0.insert(
            0,
            Route {
                path: ResourceDef::prefix(prefix),
                parameters: 0,
                methods: vec![known(Method::GET), known(Method::DELETE)],
            },
        );
        self
    }

    /// Finds the route of a request.
    pub fn find(&self, method: &Method, path: &str) -> Match {
        let Some(route) = self.0.iter().find(|route| route.path.is_match(path)) else {
            return Match::Unknown;
        };
        match route.methods.iter().find(|known| known.method == method) {
            Some(known) => match known.access {
                Access::Public => Match::Public,
                Access::Open => Match::Open,
                Access::Protected => Match::Protected {
                    takes_query: known.takes_query,
                },
            },
            None => {
                let mut names: Vec<&str> = route
                    .methods
                    .iter()
                    .map(|known| known.method.as_str())
                    .collect();
                if names.contains(&"GET") {
                    names.push("HEAD");
                }
                names.sort_unstable();
                Match::OtherMethods(names.join(", "))
            }
        }
    }
}

fn access(operation: &Operation) -> Access {
    match &operation.security {
        Some(any) if any.is_empty() => Access::Public,
        Some(any) if any.contains(&SecurityRequirement::default()) => Access::Open,
        _ => Access::Protected,
    }
}

fn takes_query(operation: &Operation) -> bool {
    operation.parameters.iter().flatten().any(|parameter| {
        matches!(parameter, RefOr::T(parameter) if matches!(parameter.parameter_in, ParameterIn::Query))
    })
}

fn operations(item: &PathItem) -> impl Iterator<Item = (Method, &Operation)> {
    [
        (Method::GET, &item.get),
        (Method::POST, &item.post),
        (Method::PUT, &item.put),
        (Method::PATCH, &item.patch),
        (Method::DELETE, &item.delete),
    ]
    .into_iter()
    .filter_map(|(method, operation)| operation.as_ref().map(|operation| (method, operation)))
}
