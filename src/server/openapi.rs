//! The OpenAPI 3.1 document: collected from the handlers, with what holds for all of them added once.

use actix_web::App;
use utoipa::{
    OpenApi,
    openapi::{
        Content, Header, HttpMethod, OpenApi as Document, RefOr, Response, ResponseBuilder,
        path::{Operation, ParameterBuilder, ParameterIn},
        schema::{AdditionalProperties, Object, Ref, Schema, Type},
        security::{Http, HttpAuthScheme, SecurityRequirement, SecurityScheme},
    },
};
use utoipa_actix_web::AppExt;

use super::api::{api, table};
use crate::{
    http::{problem::Problem, route::Needs},
    model::caller::{Permission, Role},
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Enlist",
        description = "Invites people to enroll their devices in MDM: pick users, preview the invitation, say who owns the devices, send. The greatest length of a text is that without the blanks at its ends, which are left out.",
        license(name = "MIT OR Apache-2.0", identifier = "MIT OR Apache-2.0"),
    ),
    tags(
        (name = "users", description = "The people who are invited"),
        (name = "groups", description = "Users who are filtered by and invited together"),
        (name = "settings", description = "How users enroll, are reminded and get a confirmation: a default of each kind, and custom ones for groups and users"),
        (name = "invitations", description = "Preview, send and look after invitations"),
        (name = "batches", description = "What became of a `send`"),
        (name = "enrollments", description = "Enroll a device with what an invitation gave, and the page that leads there"),
        (name = "devices", description = "What was enrolled"),
        (name = "access", description = "Operators and their sessions, and API keys"),
        (name = "system", description = "The service itself"),
    ),
    components(schemas(Problem)),
)]
struct Base;

/// The document.
pub fn document() -> Document {
    let (_, mut document) = App::new()
        .into_utoipa_app()
        .openapi(Base::openapi())
        .configure(|config| api(config))
        .split_for_parts();
    document
        .components
        .get_or_insert_default()
        .add_security_scheme(
            "bearer",
            SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
        );
    document.security = Some(vec![SecurityRequirement::new(
        "bearer",
        Vec::<String>::new(),
    )]);
    close_unions(&mut document);
    let routes = table();
    for (path, item) in &mut document.paths.paths {
        for (name, method, operation) in [
            ("GET", HttpMethod::Get, &mut item.get),
            ("POST", HttpMethod::Post, &mut item.post),
            ("PUT", HttpMethod::Put, &mut item.put),
            ("PATCH", HttpMethod::Patch, &mut item.patch),
            ("DELETE", HttpMethod::Delete, &mut item.delete),
        ] {
            if let (Some(operation), Some(needs)) = (operation, routes.needs(name, path)) {
                secure(operation, needs);
                add_common_answers(operation, &method, needs);
            }
        }
    }
    document
}

/// The document as it is checked in and served.
///
/// # Errors
/// Never in practice: every part of it can be written as JSON.
pub fn json() -> Result<String, serde_json::Error> {
    let mut text = serde_json::to_string_pretty(&document())?;
    text.push('\n');
    Ok(text)
}

/// A variant of a union is described as its own fields and, beside them, `kind`. Where it takes no other fields, neither
/// half would allow those of the other one: both are made one object.
fn close_unions(document: &mut Document) {
    let Some(components) = &mut document.components else {
        return;
    };
    let known = components.schemas.clone();
    let closed = |item: &RefOr<Schema>| -> Option<(Object, Option<String>)> {
        let RefOr::T(Schema::AllOf(both)) = item else {
            return None;
        };
        let [RefOr::Ref(fields), RefOr::T(Schema::Object(kind))] = both.items.as_slice() else {
            return None;
        };
        let name = fields.ref_location.rsplit('/').next()?;
        let Some(RefOr::T(Schema::Object(fields))) = known.get(name) else {
            return None;
        };
        fields.additional_properties.as_ref()?;
        let mut whole = kind.clone();
        whole.required.extend(fields.required.iter().cloned());
        whole.properties.extend(fields.properties.clone());
        whole.description = both.description.clone();
        Some((whole, Some(name.to_owned())))
    };
    let mut inlined = Vec::new();
    for schema in components.schemas.values_mut() {
        let RefOr::T(Schema::OneOf(union)) = schema else {
            continue;
        };
        if !union.items.iter().any(|item| closed(item).is_some()) {
            continue;
        }
        for item in &mut union.items {
            let (mut whole, name) = match closed(item) {
                Some(whole) => whole,
                None => match item {
                    RefOr::T(Schema::Object(object)) => (object.clone(), None),
                    _ => continue,
                },
            };
            whole.additional_properties = Some(Box::new(AdditionalProperties::FreeForm(false)));
            *item = RefOr::T(Schema::Object(whole));
            inlined.extend(name);
        }
    }
    components.schemas.retain(|name, _| !inlined.contains(name));
}

fn problem(description: &str) -> Response {
    ResponseBuilder::new()
        .description(description)
        .content(
            "application/problem+json",
            Content::new(Some(Ref::from_schema_name("Problem"))),
        )
        .build()
}

/// Says who may call an operation; where nothing is said, what holds for all does.
fn secure(operation: &mut Operation, needs: Needs) {
    operation.security = match needs {
        Needs::Uncounted | Needs::Nothing | Needs::Secret => Some(Vec::new()),
        Needs::SecretOr(_) => Some(vec![
            SecurityRequirement::default(),
            SecurityRequirement::new("bearer", Vec::<String>::new()),
        ]),
        Needs::Token(_) | Needs::AnyToken => None,
    };
}

/// The roles that have a permission, for people.
fn roles_with(permission: Permission) -> String {
    let names: Vec<String> = Role::ALL
        .into_iter()
        .filter(|role| role.may(permission))
        .map(|role| format!("`{role}`"))
        .collect();
    names.join(", ")
}

/// The answers that any operation may give, and the request id in every answer.
fn add_common_answers(operation: &mut Operation, method: &HttpMethod, needs: Needs) {
    let permission = match needs {
        Needs::Token(permission) | Needs::SecretOr(permission) => Some(permission),
        Needs::Uncounted | Needs::Nothing | Needs::Secret | Needs::AnyToken => None,
    };
    let is_counted = needs != Needs::Uncounted;
    let takes_secret = matches!(needs, Needs::Secret | Needs::SecretOr(_));

    let takes_body = operation.request_body.is_some();
    let names = |wanted: ParameterIn, name: Option<&str>| {
        operation.parameters.iter().flatten().any(|parameter| {
            matches!(parameter, RefOr::T(parameter)
                if parameter.parameter_in == wanted && name.is_none_or(|name| parameter.name == name))
        })
    };
    let has_path_id = names(ParameterIn::Path, None);
    let takes_query = names(ParameterIn::Query, None);
    let is_list = names(ParameterIn::Query, Some("cursor"));
    let is_idempotent = names(ParameterIn::Header, Some("Idempotency-Key"));
    let mut add = |status: &str, description: &str| {
        operation
            .responses
            .responses
            .entry(status.to_owned())
            .or_insert_with(|| RefOr::T(problem(description)));
    };
    if let Some(permission) = permission {
        add("401", "No token, or one that is not valid");
        let roles = roles_with(permission);
        add(
            "403",
            &format!("The role does not reach; these do: {roles}"),
        );
    }
    if needs == Needs::AnyToken {
        add("401", "No token, or one that is not valid");
    }
    if is_counted {
        add(
            "429",
            "Too many requests from this address, or with this token",
        );
    }
    if has_path_id {
        add("404", "There is no such thing");
    }
    if takes_body {
        add("400", "The body is not JSON");
        add("408", "The body did not arrive in time");
        add("413", "The body is too large");
        add("415", "The body is not sent as JSON");
    }
    if takes_body || takes_query {
        add(
            "422",
            "The body or the query is not valid: `errors` lists every fault",
        );
    }
    if is_idempotent {
        add(
            "409",
            "It conflicts with the state, or a request with the same idempotency key is running",
        );
    }
    add("414", "The path and query are longer than 8 KiB");
    add("431", "The headers are longer than 32 KiB");
    add("500", "A fault of ours");
    add("503", "The database is away");
    let is_resource = has_path_id
        && !is_list
        && (matches!(method, HttpMethod::Patch)
            || matches!(method, HttpMethod::Put) && is_json(operation)
            || matches!(method, HttpMethod::Get) && is_json(operation));
    if is_resource && matches!(method, HttpMethod::Get) {
        operation.parameters.get_or_insert_default().push(RefOr::T(
            ParameterBuilder::new()
                .name("If-None-Match")
                .parameter_in(ParameterIn::Header)
                .description(Some("The `ETag` of the version that you have"))
                .schema(Some(Object::with_type(Type::String)))
                .build(),
        ));
        operation.responses.responses.insert(
            "304".to_owned(),
            RefOr::T(Response::new("You have this version already")),
        );
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            // The contract of problems is one media type, also where a handler names its own.
            if let Some(content) = response.content.shift_remove("application/json") {
                let is_problem = matches!(
                    &content,
                    RefOr::T(Content { schema: Some(RefOr::Ref(schema)), .. }) if schema.ref_location.ends_with("/Problem")
                );
                let media_type = if is_problem {
                    "application/problem+json"
                } else {
                    "application/json"
                };
                response.content.insert(media_type.to_owned(), content);
            }
            if takes_secret {
                let mut header = Header::default();
                header.description = Some("`no-store`".to_owned());
                response
                    .headers
                    .insert("Cache-Control".to_owned(), RefOr::T(header));
            }
            let mut add = |name: &str, description: &str| {
                let mut header = Header::default();
                header.description = Some(description.to_owned());
                response
                    .headers
                    .entry(name.to_owned())
                    .or_insert(RefOr::T(header));
            };
            add("X-Request-Id", "The request's id, as in the log");
            if is_counted {
                add(
                    "RateLimit-Policy",
                    "How many requests may come at once (`q`), and in how many seconds they may come again (`w`)",
                );
                add(
                    "RateLimit",
                    "How many more may come (`r`), and in how many seconds all of them may again (`t`)",
                );
            }
            match status.as_str() {
                "200" | "304" if is_resource => add(
                    "ETag",
                    "The tag of this version, for If-Match and If-None-Match",
                ),
                "200" if is_list => add("Link", "The next page, with rel=\"next\" (RFC 8288)"),
                "401" => add("WWW-Authenticate", "Bearer"),
                "429" | "503" => add("Retry-After", "Seconds to wait"),
                "200" | "201" | "202" if is_idempotent => add(
                    "Idempotent-Replayed",
                    "`true` when this is the first answer again",
                ),
                _ => {}
            }
        }
    }
}

/// Whether the answer is one JSON resource that a client may keep.
fn is_json(operation: &Operation) -> bool {
    let answers = &operation.responses.responses;
    matches!(answers.get("200"), Some(RefOr::T(answer)) if answer.content.contains_key("application/json")
        && !answer.headers.contains_key("Cache-Control"))
        && !answers.contains_key("409")
}
