//! The gate: it knows every route, lets only known callers through, and counts who calls how often.

use std::{
    net::IpAddr,
    sync::{Arc, Once},
};

use actix_web::{
    Error, HttpMessage,
    body::{EitherBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    http::{
        Uri,
        header::{self, HeaderMap, HeaderName, HeaderValue},
        uri::PathAndQuery,
    },
    middleware::Next,
    web,
};

use super::router::{Match, Routes};
use crate::{
    access::Access,
    audit::{
        Trail,
        domain::{Actor, ActorKind},
    },
    db::of_kind,
    embedded::mailbox::is_local_host,
    enrollments::landing::link::page_meant,
    http::{
        base_path::BasePath,
        error::ApiError,
        extract::{self, bearer},
        limits::{Limits, Standing},
        proxies::Proxies,
        request_id,
        route::Needs,
    },
    model::caller::{Caller, Permission, Who},
    state::State,
};

/// Where a request came from, for the log.
pub struct Client(pub IpAddr);

/// What the gate decides by.
pub struct Gate {
    pub routes: Routes,
    pub access: web::Data<Access>,
    pub limits: Limits,
    pub proxies: Proxies,
    /// `enlist dev` shows PINs to whoever asks: it answers to its own machine's names only.
    pub local_only: bool,
    /// Where people find the service.
    pub base: BasePath,
}

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// Bytes of path and query. The longest of ours is a cursor with every filter.
const URI_LIMIT: usize = 8 * 1024;

/// Bytes of all headers.
const HEADERS_LIMIT: usize = 32 * 1024;

/// Refuses what no route answers (404, or 405 with `Allow`), whoever may not call the route (401, 403) and whoever calls
/// too often (429): before a body is read.
pub async fn gate<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let state = request.app_data::<web::Data<State>>().cloned();
    let gate = request.app_data::<web::Data<Gate>>().cloned();
    let (Some(state), Some(gate)) = (state, gate) else {
        return Err(ApiError::internal("no state").into());
    };
    let peer = request.peer_addr().map(|address| address.ip());
    let from = gate.proxies.client(peer, request.headers());
    if let Some(from) = from {
        request.extensions_mut().insert(Client(from));
    }
    if gate.proxies.is_unknown(request.headers()) && !gate.local_only {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            tracing::warn!(
                proxy = peer.map(|peer| peer.to_string()),
                "a proxy says who calls, and is not believed: if it is yours, name it in ENLIST_TRUSTED_PROXIES; \
                 as it is, all that come through it share one client's limits"
            );
        });
    }
    lead_to_page(&mut request, &gate.base);
    let found = gate.routes.find(request.method(), request.path());
    let mut visit = Visit {
        request: &request,
        state: &state,
        gate: &gate,
        from,
        standing: None,
    };
    let mut trail = Trail {
        actor: Actor {
            kind: ActorKind::Public,
            id: None,
            name: None,
        },
        request_id: Some(request_id::current()),
        address: from,
        clock: state.clock.clone(),
        keys: Some(Arc::clone(&state.keys)),
    };
    // Whoever is not let in may be worth an event, too.
    let admitted = trail.clone().scope(visit.admit(&found)).await;
    let standing = visit.standing;
    let mut response = match admitted {
        Ok(caller) => {
            if let Some(caller) = caller {
                trail.actor = Actor::from(&caller);
                request.extensions_mut().insert(caller);
            }
            let number = match found {
                Match::Found { number, .. } => number,
                _ => 0,
            };
            let answered = trail.scope(of_kind(number, next.call(request)));
            answered.await?.map_into_left_body()
        }
        Err(problem) => request.error_response(problem).map_into_right_body(),
    };
    let headers = response.headers_mut();
    put_base_back(headers, &gate.base);
    // What is answered to a secret, right or wrong, is for nobody else.
    if let Match::Found {
        needs: Needs::Secret | Needs::SecretOr(_),
        ..
    } = found
    {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    if let Some(standing) = standing {
        for (name, value) in [
            (RATE_LIMIT_POLICY, standing.policy()),
            (RATE_LIMIT, standing.left()),
        ] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }
    Ok(response)
}

/// Asks for the page that a mangled link means, in its place; what was added behind a `?` means nothing to it.
fn lead_to_page(request: &mut ServiceRequest, base: &BasePath) {
    let Some(path) = page_meant(request.path(), base.as_str()) else {
        return;
    };
    let mut parts = request.uri().clone().into_parts();
    let Ok(path) = PathAndQuery::try_from(path) else {
        return;
    };
    parts.path_and_query = Some(path);
    if let Ok(uri) = Uri::from_parts(parts) {
        request.match_info_mut().get_mut().update(&uri);
        request.head_mut().uri = uri;
    }
}

/// Says where things are as people reach them.
fn put_base_back(headers: &mut HeaderMap, base: &BasePath) {
    let value = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let full = [
        (
            header::LOCATION,
            value(header::LOCATION).and_then(|place| base.location(place)),
        ),
        (
            header::LINK,
            value(header::LINK).and_then(|link| base.link(link)),
        ),
    ];
    for (name, full) in full {
        if let Some(Ok(full)) = full.map(HeaderValue::try_from) {
            headers.insert(name, full);
        }
    }
}

/// A request at the gate.
struct Visit<'a> {
    request: &'a ServiceRequest,
    state: &'a State,
    gate: &'a Gate,
    /// Where the client is.
    from: Option<IpAddr>,
    /// What is left to whoever it was counted for.
    standing: Option<Standing>,
}

impl Visit<'_> {
    async fn admit(&mut self, found: &Match) -> Result<Option<Caller>, ApiError> {
        let (request, gate) = (self.request, self.gate);
        let host = request.headers().get(header::HOST);
        let is_local = host
            .and_then(|host| host.to_str().ok())
            .is_some_and(is_local_host);
        if gate.local_only && !is_local {
            return Err(ApiError::new(
                421,
                "misdirected_request",
                "`enlist dev` shows PINs and answers only as localhost, 127.0.0.1 or [::1].",
            ));
        }
        check_size(request)?;
        let (needs, takes_query) = match found {
            Match::Unknown => {
                self.count_client().await?;
                return Err(ApiError::not_found("path"));
            }
            Match::OtherMethods(allow) => {
                self.count_client().await?;
                return Err(ApiError::method_not_allowed(allow));
            }
            Match::Found {
                needs, takes_query, ..
            } => (*needs, *takes_query),
        };
        let caller = match needs {
            Needs::Uncounted => return Ok(None),
            Needs::Nothing => {
                self.count_client().await?;
                return Ok(None);
            }
            Needs::SecretOr(permission)
                if request.headers().contains_key(header::AUTHORIZATION) =>
            {
                Some(self.known(Some(permission)).await?)
            }
            Needs::Secret | Needs::SecretOr(_) => {
                let standing = gate.limits.count_guess(self.from).await;
                self.keep(standing)?;
                None
            }
            Needs::Token(permission) => Some(self.known(Some(permission)).await?),
            Needs::AnyToken => Some(self.known(None).await?),
        };
        if !takes_query {
            extract::refuse_query(request.query_string())?;
        }
        Ok(caller)
    }

    /// Whoever holds the request's bearer token, if that role may do this; without a permission, any role may, and also
    /// while the database is away. A token that was not seen lately is counted for the address that it comes from:
    /// trying tokens must not be a way to keep the database busy.
    async fn known(&mut self, permission: Option<Permission>) -> Result<Caller, ApiError> {
        let (access, now) = (&self.gate.access, self.state.clock.now());
        let token = bearer(self.request.headers());
        if !token.is_some_and(|token| access.has_seen(token)) {
            self.count_client().await?;
        }
        let caller = match permission {
            Some(_) => access.authenticate(token, now).await?,
            None => access.recognize(token, now).await?,
        };
        let standing = self.gate.limits.count_key(caller.id()).await;
        self.keep(standing)?;
        if let Some(permission) = permission {
            require(&caller, permission)?;
        }
        Ok(caller)
    }

    async fn count_client(&mut self) -> Result<(), ApiError> {
        let standing = self.gate.limits.count_client(self.from).await;
        self.keep(standing)
    }

    fn keep(&mut self, standing: Standing) -> Result<(), ApiError> {
        self.standing = Some(standing);
        standing.check()
    }
}

/// # Errors
/// 403 when the role does not reach.
fn require(caller: &Caller, permission: Permission) -> Result<(), ApiError> {
    if caller.may(permission) {
        return Ok(());
    }
    let detail = match (permission, caller.who) {
        (Permission::OwnSession, Who::Key(_)) => {
            "An API key has no session; this is for operators who signed in.".to_owned()
        }
        (_, Who::Key(_)) => format!("A key with the role `{}` may not do this.", caller.role),
        (_, Who::Operator { .. }) => {
            format!(
                "An operator with the role `{}` may not do this.",
                caller.role
            )
        }
    };
    Err(ApiError::new(403, "forbidden", detail))
}

/// # Errors
/// 414 or 431 for what no client of ours needs: it would only be carried along.
fn check_size(request: &ServiceRequest) -> Result<(), ApiError> {
    let uri = request.uri().path_and_query();
    if uri.is_some_and(|uri| uri.as_str().len() > URI_LIMIT) {
        return Err(ApiError::new(
            414,
            "uri_too_long",
            format!(
                "The path and query are longer than {} KiB.",
                URI_LIMIT / 1024
            ),
        ));
    }
    let size = |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len();
    if request.headers().iter().map(size).sum::<usize>() > HEADERS_LIMIT {
        return Err(ApiError::new(
            431,
            "headers_too_large",
            format!(
                "The headers are larger than {} KiB together.",
                HEADERS_LIMIT / 1024
            ),
        ));
    }
    Ok(())
}
