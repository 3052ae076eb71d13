//! Every route there is, read from what the handlers tell the OpenAPI document and what they say that their callers need:
//! so the document, the 404s, the 405s and the gate cannot disagree.

use actix_web::{
    dev::{HttpServiceFactory, ResourceDef},
    http::Method,
};
use utoipa::openapi::{
    PathItem, RefOr,
    path::{Operation, ParameterIn},
};
use utoipa_actix_web::OpenApiFactory;

use crate::http::route::{Needs, Register};

/// How a path and a method fit the routes.
#[derive(Debug, PartialEq, Eq)]
pub enum Match {
    /// There is such a route.
    Found {
        /// Who may call it.
        needs: Needs,
        /// Whether the operation takes query parameters; it names the unknown ones itself then.
        takes_query: bool,
        /// Which one it is.
        number: usize,
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
    needs: Needs,
    takes_query: bool,
    number: usize,
}

/// The table of all routes.
#[derive(Default)]
pub struct Routes {
    known: Vec<Route>,
    /// How many operations were added.
    operations: usize,
}

impl Register for Routes {
    /// Reads a handler's routes.
    fn add(
        &mut self,
        needs: Needs,
        handler: impl HttpServiceFactory + OpenApiFactory + 'static,
    ) -> &mut Self {
        for (path, item) in handler.paths().paths {
            let methods = operations(&item)
                .map(|(method, operation)| {
                    self.operations += 1;
                    Known {
                        needs,
                        takes_query: takes_query(operation),
                        method,
                        number: self.operations,
                    }
                })
                .collect();
            let known = |route: &&mut Route| route.path.pattern() == Some(path.as_str());
            match self.known.iter_mut().find(known) {
                Some(route) => route.methods.extend::<Vec<_>>(methods),
                None => self.known.push(Route {
                    path: ResourceDef::new(path.as_str()),
                    parameters: path.matches('{').count(),
                    methods,
                }),
            }
        }
        self
    }
}

impl Routes {
    /// Adds the bundled documentation, which is made of files, not operations.
    pub fn with_docs(mut self) -> Self {
        self.known.push(Route {
            path: ResourceDef::prefix("/docs"),
            parameters: 1,
            methods: vec![Known {
                method: Method::GET,
                needs: Needs::Nothing,
                takes_query: true,
                number: 0,
            }],
        });
        self.known.sort_by_key(|route| route.parameters);
        self
    }

    /// What the callers of an operation need.
    pub fn needs(&self, method: &str, pattern: &str) -> Option<Needs> {
        self.known
            .iter()
            .filter(|route| route.path.pattern() == Some(pattern))
            .flat_map(|route| &route.methods)
            .find(|known| known.method.as_str() == method)
            .map(|known| known.needs)
    }

    /// Adds a page for `enlist dev`, which looks after its own methods and callers.
    pub fn with_page(mut self, prefix: &'static str) -> Self {
        let known = |method| Known {
            method,
            needs: Needs::Uncounted,
            takes_query: true,
            number: 0,
        };
        self.known.insert(
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
        let Some(route) = self.known.iter().find(|route| route.path.is_match(path)) else {
            return Match::Unknown;
        };
        match route.methods.iter().find(|known| known.method == method) {
            Some(known) => Match::Found {
                needs: known.needs,
                takes_query: known.takes_query,
                number: known.number,
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

#[cfg(test)]
mod tests {
    use crate::server::api::table;

    /// The first one would answer, with what its callers need, and the other one never.
    #[test]
    fn no_route_is_there_twice() {
        for route in table().known {
            for (index, known) in route.methods.iter().enumerate() {
                let is_twice = route.methods[..index]
                    .iter()
                    .any(|other| other.method == known.method);
                assert!(!is_twice, "{} {:?}", known.method, route.path.pattern());
            }
        }
    }
}
