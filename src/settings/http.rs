//! `/settings/…` and `GET /users/{id}/settings`.

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, delete, dev::Payload, get, http::header, post, put, web,
};
use diesel::prelude::*;
use uuid::Uuid;

use super::{
    domain::{
        Confirmation, ConfirmationRequest, Content, RegistrationRequest, Reminder, ReminderRequest,
    },
    fields::Distribution,
    queries,
    resource::{Custom, ListQuery, Setting, SettingId, UserSettings},
    store::{self, Held, New},
};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    http::{
        error::ApiError,
        etag,
        extract::{Body, Id, Params, SELECTION, tags},
        idempotent::{self, Answer, Scope},
        paging::{self, Page, Position},
        respond,
        route::Register,
    },
    model::{
        caller::{Caller, Permission},
        registration::Registration,
        wire::{Fault, Faults},
    },
    selection::queries::hold_users,
    state::State,
};

/// More faults than anybody reads.
const MOST_FAULTS: usize = 100;

/// The setting in the path: a UUID or `default`. What is neither is a 404.
struct Which(SettingId);

impl FromRequest for Which {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        let id = request.match_info().get("id").and_then(SettingId::parse);
        std::future::ready(id.map(Self).ok_or_else(no_setting))
    }
}

fn no_setting() -> ApiError {
    ApiError::not_found("setting")
}

/// What this caller may see of a setting.
fn seen<C: Content>(mut setting: Setting<C>, caller: &Caller) -> Setting<C> {
    if !caller.may(Permission::ReadSecrets) {
        setting.content.hide_secrets();
    }
    setting
}

/// As the audit log has it: without what is secret.
fn written<C: Content>(setting: &Setting<C>) -> serde_json::Value {
    let mut setting = setting.clone();
    setting.content.hide_secrets();
    serde_json::to_value(&setting).unwrap_or_default()
}

async fn list<C: Content>(
    state: &State,
    caller: &Caller,
    request: &HttpRequest,
    asked: ListQuery,
) -> Result<HttpResponse, ApiError> {
    let query = serde_json::to_string(&("settings", C::KIND)).map_err(ApiError::internal)?;
    let after = asked
        .cursor
        .as_deref()
        .map(|cursor| paging::open(&state.keys, &query, cursor))
        .transpose()
        .map_err(|fault| ApiError::invalid(vec![fault]))?
        .and_then(|position| Some((position.key.parse().ok()?, position.id)));
    let (limit, count) = (asked.limit, asked.count);
    let (rows, total) = state
        .db
        .read(move |connection| {
            let rows = store::list::<C>(connection, after, limit.probe())?;
            let total = count
                .then(|| store::count(connection, C::KIND))
                .transpose()?;
            Ok((rows, total))
        })
        .await?;
    // The default is the last one: no page begins behind it.
    let page = Page::of(rows, limit, total, |last| {
        let position = Position {
            key: last.priority.unwrap_or_default().to_string(),
            id: match last.id {
                SettingId::Custom(id) => id,
                SettingId::Default => Uuid::max(),
            },
        };
        paging::seal(&state.keys, &query, &position)
    });
    let page = page.map(|setting| seen(setting, caller));
    Ok(respond::page(
        request,
        page.write().map_err(ApiError::internal)?,
    ))
}

/// A fault for every id of the distribution that is not there; those that are there are held until the end
/// of the transaction.
fn unknown_ids(
    connection: &mut PgConnection,
    given: &Distribution,
    custom: &Custom,
) -> Result<Vec<Fault>, ApiError> {
    let to = &custom.distribution;
    let groups = store::hold_groups(connection, &to.group_ids)?;
    let users = hold_users(connection, to.user_ids.iter().copied())?;
    let faults = [
        ("group_ids", "group", &given.group_ids, groups),
        ("user_ids", "user", &given.user_ids, users),
    ]
    .into_iter()
    .flat_map(|(field, what, ids, known)| {
        ids.iter()
            .enumerate()
            .filter(move |(_, id)| !known.contains(id))
            .map(move |(index, _)| {
                Fault::new(
                    format!("/distribution/{field}/{index}"),
                    "unknown_id",
                    format!("there is no {what} with this id"),
                )
            })
    });
    Ok(faults.take(MOST_FAULTS).collect())
}

/// Refuses what is wrong with a setting, everything at once.
fn check<C: Content>(
    connection: &mut PgConnection,
    given: &Distribution,
    custom: Option<&Custom>,
    content: &C,
    mut faults: Faults,
) -> Result<(), ApiError> {
    content.check(&mut faults);
    if let Some(custom) = custom {
        faults.0.extend(unknown_ids(connection, given, custom)?);
    }
    faults.into_result().map_err(ApiError::invalid)
}

async fn create<C: Content>(
    state: web::Data<State>,
    caller: Caller,
    request: &HttpRequest,
    body: Body<C::Request, SELECTION>,
) -> Result<HttpResponse, ApiError> {
    let route = format!("POST /settings/{}", C::KIND);
    let scope = Scope::of(request, &caller, &route, &body.bytes, &state.keys)?;
    let bytes = body.bytes;
    let (common, content) = C::parts(body.value);
    let given = common.distribution.clone().unwrap_or_default();
    let mut faults = Faults::default();
    let custom = common.created(&mut faults);
    let (shared, trail) = (state.clone(), Trail::current());
    let answer = state
        .db
        .transaction(move |connection| {
            let now = shared.clock.now();
            idempotent::once(
                connection,
                scope.as_ref(),
                &bytes,
                &shared.keys,
                now,
                |connection| {
                    check(connection, &given, custom.as_ref(), &content, faults)?;
                    let custom =
                        custom.ok_or_else(|| ApiError::internal("a setting without a name"))?;
                    let new = New {
                        id: shared.clock.new_id(),
                        version: shared.clock.new_id(),
                        custom: &custom,
                        content: &content,
                    };
                    store::insert(connection, &new, now)?;
                    let id = SettingId::Custom(new.id);
                    let setting = store::get::<C>(connection, id)?.ok_or_else(no_setting)?;
                    let event = Event::new(Action::SettingCreated, SubjectKind::Setting, new.id);
                    trail.record(connection, &event.after(&written(&setting)))?;
                    Ok::<_, ApiError>(Answer {
                        status: 201,
                        location: Some(format!("/settings/{}/{id}", C::KIND)),
                        body: serde_json::to_string(&setting).map_err(ApiError::internal)?,
                        replayed: false,
                    })
                },
            )
        })
        .await?;
    Ok(respond::answer(&answer))
}

async fn show<C: Content>(
    state: &State,
    caller: &Caller,
    request: &HttpRequest,
    id: SettingId,
) -> Result<HttpResponse, ApiError> {
    let setting = state
        .db
        .read(move |connection| store::get::<C>(connection, id))
        .await?
        .ok_or_else(no_setting)?;
    Ok(respond::resource(request, &seen(setting, caller)))
}

/// The setting as it is now, held until the end of the transaction.
fn lock<C: Content>(
    connection: &mut PgConnection,
    id: SettingId,
    wanted: Option<&etag::Tags>,
) -> Result<Held<C>, ApiError> {
    let held = store::lock::<C>(connection, id)?.ok_or_else(no_setting)?;
    match wanted {
        Some(tags) if !tags.match_strongly(&etag::of(&held.setting)) => {
            Err(ApiError::precondition_failed())
        }
        _ => Ok(held),
    }
}

async fn replace<C: Content>(
    state: web::Data<State>,
    request: &HttpRequest,
    id: SettingId,
    body: Body<C::Request, SELECTION>,
) -> Result<HttpResponse, ApiError> {
    let wanted = tags(request, header::IF_MATCH);
    let (common, content) = C::parts(body.value);
    let given = common.distribution.clone().unwrap_or_default();
    let mut faults = Faults::default();
    let custom = common.changed(id, &mut faults);
    let (clock, trail) = (state.clock.clone(), Trail::current());
    let setting = state
        .db
        .transaction(move |connection| {
            let held = lock::<C>(connection, id, wanted.as_ref())?;
            check(connection, &given, custom.as_ref(), &content, faults)?;
            let before = &held.setting;
            let is_same = content == before.content
                && custom.as_ref().is_none_or(|custom| {
                    custom.name.as_str() == before.name
                        && Some(custom.priority) == before.priority
                        && Some(&custom.distribution) == before.distribution.as_ref()
                });
            if is_same {
                return Ok(held.setting);
            }
            let (version, now) = (clock.new_id(), clock.now());
            store::update(connection, &held, custom.as_ref(), &content, version, now)?;
            let setting = store::get::<C>(connection, id)?.ok_or_else(no_setting)?;
            let event = Event::new(Action::SettingChanged, SubjectKind::Setting, id.custom())
                .before(&written(&held.setting))
                .after(&written(&setting));
            trail.record(connection, &event)?;
            Ok::<_, ApiError>(setting)
        })
        .await?;
    Ok(respond::resource(request, &setting))
}

async fn remove<C: Content>(
    state: &State,
    request: &HttpRequest,
    id: SettingId,
) -> Result<HttpResponse, ApiError> {
    let (wanted, trail) = (tags(request, header::IF_MATCH), Trail::current());
    if id == SettingId::Default {
        return Err(ApiError::new(
            409,
            "default_setting",
            "The default cannot be deleted: it applies to everybody to whom no custom setting does. Change it instead.",
        ));
    }
    state
        .db
        .transaction(move |connection| {
            let held = lock::<C>(connection, id, wanted.as_ref())?;
            store::delete(connection, &held)?;
            let event = Event::new(Action::SettingDeleted, SubjectKind::Setting, id.custom());
            trail.record(connection, &event.before(&written(&held.setting)))?;
            Ok::<_, ApiError>(())
        })
        .await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Declares the five routes of a kind: the document names each with its own types.
macro_rules! setting_routes {
    ($what:tt, $Content:ident, $Request:ident, $path:tt, $one:tt, $routes:ident:
     $list:ident, $create:ident, $get:ident, $replace:ident, $delete:ident) => {
        #[utoipa::path(
            tag = "settings", params(ListQuery), summary = concat!("List ", $what, " settings"),
            description = "In the order of application: custom settings by priority, among equal ones the older first, then \
                the default. Of the custom settings whose distribution holds a user the first applies.",
            responses((status = 200, description = "One page", body = Page<Setting<$Content>>))
        )]
        #[get($path)]
        async fn $list(
            state: web::Data<State>,
            caller: Caller,
            request: HttpRequest,
            Params(asked): Params<ListQuery>,
        ) -> Result<HttpResponse, ApiError> {
            list::<$Content>(&state, &caller, &request, asked).await
        }

        #[utoipa::path(
            tag = "settings", request_body = $Request, summary = concat!("Create a custom ", $what, " setting"),
            description = "Applies to the members of the groups and to the users in its distribution. A field that is left out \
                takes its default.",
            params(("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key and body gets the first answer")),
            responses((status = 201, description = "Created", body = Setting<$Content>, headers(("Location" = String, description = "The setting"))))
        )]
        #[post($path)]
        async fn $create(
            state: web::Data<State>,
            caller: Caller,
            request: HttpRequest,
            body: Body<$Request, SELECTION>,
        ) -> Result<HttpResponse, ApiError> {
            create::<$Content>(state, caller, &request, body).await
        }

        #[utoipa::path(
            tag = "settings", summary = concat!("Get a ", $what, " setting"), description = "The default's id is `default`.",
            params(("id" = String, Path, description = "The setting's id, or `default`")),
            responses((status = 200, description = "The setting", body = Setting<$Content>))
        )]
        #[get($one)]
        async fn $get(
            state: web::Data<State>,
            caller: Caller,
            request: HttpRequest,
            Which(id): Which,
        ) -> Result<HttpResponse, ApiError> {
            show::<$Content>(&state, &caller, &request, id).await
        }

        #[utoipa::path(
            tag = "settings", request_body = $Request, summary = concat!("Replace a ", $what, " setting"),
            description = "A field that is left out takes its default. What GET gave can be put back. Of the default, name, \
                priority and distribution cannot be changed. Invitations that are sent already stay as they are.",
            params(
                ("id" = String, Path, description = "The setting's id, or `default`"),
                ("If-Match" = Option<String>, Header, description = "Change only the version with this `ETag`"),
            ),
            responses(
                (status = 200, description = "The setting as changed", body = Setting<$Content>),
                (status = 412, description = "The setting has changed since", body = crate::http::problem::Problem),
            )
        )]
        #[put($one)]
        async fn $replace(
            state: web::Data<State>,
            request: HttpRequest,
            Which(id): Which,
            body: Body<$Request, SELECTION>,
        ) -> Result<HttpResponse, ApiError> {
            replace::<$Content>(state, &request, id, body).await
        }

        #[utoipa::path(
            tag = "settings", summary = concat!("Delete a custom ", $what, " setting"),
            description = "To its users the next one applies. Invitations that are sent already stay as they are.",
            params(
                ("id" = String, Path, description = "The setting's id"),
                ("If-Match" = Option<String>, Header, description = "Delete only the version with this `ETag`"),
            ),
            responses(
                (status = 204, description = "Deleted"),
                (status = 409, description = "`default_setting`: the default cannot be deleted", body = crate::http::problem::Problem),
                (status = 412, description = "The setting has changed since", body = crate::http::problem::Problem),
            )
        )]
        #[delete($one)]
        async fn $delete(
            state: web::Data<State>,
            request: HttpRequest,
            Which(id): Which,
        ) -> Result<HttpResponse, ApiError> {
            remove::<$Content>(&state, &request, id).await
        }

        fn $routes(api: &mut impl Register) {
            api.permit(Permission::Read, $list)
                .permit(Permission::Configure, $create)
                .permit(Permission::Read, $get)
                .permit(Permission::Configure, $replace)
                .permit(Permission::Configure, $delete);
        }
    };
}

setting_routes!(
    "registration", Registration, RegistrationRequest, "/settings/registration", "/settings/registration/{id}",
    registration_routes: list_registration_settings, create_registration_setting, get_registration_setting,
    replace_registration_setting, delete_registration_setting
);
setting_routes!(
    "reminder", Reminder, ReminderRequest, "/settings/reminder", "/settings/reminder/{id}",
    reminder_routes: list_reminder_settings, create_reminder_setting, get_reminder_setting,
    replace_reminder_setting, delete_reminder_setting
);
setting_routes!(
    "confirmation", Confirmation, ConfirmationRequest, "/settings/confirmation", "/settings/confirmation/{id}",
    confirmation_routes: list_confirmation_settings, create_confirmation_setting, get_confirmation_setting,
    replace_confirmation_setting, delete_confirmation_setting
);

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    registration_routes(api);
    reminder_routes(api);
    confirmation_routes(api);
    api.permit(Permission::Read, get_user_settings);
}

/// Get the settings that apply to a user
///
/// Of each kind the first custom one whose distribution holds the user, else the default; `source` says
/// which one it is, and why.
#[utoipa::path(
    tag = "settings", params(("id" = Uuid, Path, description = "The user's id")),
    responses((status = 200, description = "The settings", body = UserSettings))
)]
#[get("/users/{id}/settings")]
async fn get_user_settings(
    state: web::Data<State>,
    caller: Caller,
    request: HttpRequest,
    Id(id): Id,
) -> Result<HttpResponse, ApiError> {
    let mut settings = state
        .db
        .read(move |connection| queries::with_sources(connection, id))
        .await?
        .ok_or_else(|| ApiError::not_found("user"))?;
    if !caller.may(Permission::ReadSecrets) {
        settings.registration.content.hide_secrets();
    }
    Ok(respond::resource(&request, &settings))
}
