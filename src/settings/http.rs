//! `/settings/…` and `GET /users/{id}/settings`.

use std::{marker::PhantomData, sync::Arc};

use actix_web::{
    FromRequest, HttpRequest, HttpResponse, delete,
    dev::Payload,
    get,
    http::header::{self, HeaderValue},
    post, put, web,
};
use diesel::PgConnection;
use uuid::Uuid;

use super::{
    change::{self, no_setting},
    domain::{
        Confirmation, ConfirmationRequest, Content, RegistrationRequest, Reminder, ReminderRequest,
    },
    queries,
    reach::UserSettings,
    resource::{ListQuery, Setting, SettingId},
    store,
};
use crate::{
    audit::Trail,
    db::DbError,
    http::{
        error::ApiError,
        extract::{Body, Params, SELECTION},
        list::{self, List},
        once::{Done, Once},
        paging::{Page, Position},
        problem::Problem,
        resource::{self, Expected, Id},
        respond,
        route::Register,
    },
    model::{
        caller::{Caller, Permission},
        registration::Registration,
    },
    secrets::keys::KeyRing,
    state::State,
};

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

/// What this caller may see of a setting: all of it, if the caller may change it.
fn seen<C: Content>(mut content: C, caller: &Caller) -> C {
    if !caller.may(Permission::Configure) {
        content.hide_secrets();
    }
    content
}

/// An answer that may show a secret, and so is for nobody else.
fn no_store(mut answer: HttpResponse) -> HttpResponse {
    let headers = answer.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

/// The settings of a kind in the order of application, as a caller may see them.
struct Settings<C> {
    caller: Caller,
    keys: Arc<KeyRing>,
    kind: PhantomData<fn() -> C>,
}

impl<C: Content> List for Settings<C> {
    type Row = Setting<C>;

    fn scope(&self) -> String {
        list::scope_of(&("settings", C::KIND))
    }

    fn rows(
        &self,
        connection: &mut PgConnection,
        after: Option<&Position>,
        limit: i64,
    ) -> Result<Vec<Setting<C>>, DbError> {
        let after = after.and_then(|after| Some((after.key.parse().ok()?, after.id)));
        let rows = store::list::<C>(connection, &self.keys, after, limit)?;
        let rows = rows.into_iter().map(|setting| Setting {
            content: seen(setting.content, &self.caller),
            ..setting
        });
        Ok(rows.collect())
    }

    fn count(&self, connection: &mut PgConnection) -> Result<i64, DbError> {
        store::count(connection, C::KIND)
    }

    /// The default is the last one: no page begins behind it.
    fn position(&self, last: &Setting<C>) -> Position {
        Position {
            key: last.priority.unwrap_or_default().to_string(),
            id: match last.id {
                SettingId::Custom(id) => id,
                SettingId::Default => Uuid::max(),
            },
        }
    }
}

async fn list<C: Content>(
    state: &State,
    caller: Caller,
    request: &HttpRequest,
    mut asked: ListQuery,
) -> Result<HttpResponse, ApiError> {
    let settings = Settings {
        caller,
        keys: Arc::clone(&state.keys),
        kind: PhantomData::<fn() -> C>,
    };
    let page = list::page(state, request, asked.paging(), settings).await?;
    Ok(no_store(page))
}

async fn create<C: Content>(
    state: &State,
    trail: Trail,
    once: Once<Body<C::Request, SELECTION>>,
) -> Result<HttpResponse, ApiError> {
    let ((common, content), keys) = (C::parts(once.value), Arc::clone(&state.keys));
    let work = move |connection: &mut PgConnection| {
        let setting = change::create(connection, &trail, &keys, common, content)?;
        let location = format!("/settings/{}/{}", C::KIND, setting.id);
        Ok(Done::created(location, setting))
    };
    // What is kept for a repeat has no secret in it.
    let store = |setting: &Setting<C>| {
        let mut setting = setting.clone();
        setting.content.hide_secrets();
        serde_json::to_string(&setting).map_err(ApiError::internal)
    };
    let (mut answer, created) = once.key.run_storing(state, store, work).await?;
    if let Some(setting) = created {
        answer.body = serde_json::to_string(&setting).map_err(ApiError::internal)?;
    }
    Ok(no_store(respond::answer(answer)))
}

async fn show<C: Content>(
    state: &State,
    caller: Caller,
    request: &HttpRequest,
    id: SettingId,
) -> Result<HttpResponse, ApiError> {
    let keys = Arc::clone(&state.keys);
    let get = move |connection: &mut PgConnection| {
        let setting = store::get::<C>(connection, &keys, id)?;
        Ok(setting.map(|setting| Setting {
            content: seen(setting.content, &caller),
            ..setting
        }))
    };
    Ok(no_store(resource::read(state, request, get).await?))
}

async fn replace<C: Content>(
    state: &State,
    trail: Trail,
    request: &HttpRequest,
    (id, expected): (SettingId, Expected),
    body: C::Request,
) -> Result<HttpResponse, ApiError> {
    let ((common, content), keys) = (C::parts(body), Arc::clone(&state.keys));
    let work = move |connection: &mut PgConnection| {
        change::replace(connection, &trail, &keys, (id, &expected), common, content)
    };
    Ok(no_store(resource::change(state, request, work).await?))
}

async fn remove<C: Content>(
    state: &State,
    trail: Trail,
    id: SettingId,
    expected: Expected,
) -> Result<HttpResponse, ApiError> {
    let keys = Arc::clone(&state.keys);
    resource::act(state, move |connection| {
        change::delete::<C>(connection, &trail, &keys, id, &expected)
    })
    .await
}

/// Declares the five routes of a kind: the document names each with its own types.
macro_rules! setting_routes {
    ($what:tt, $Content:ident, $Request:ident, $path:tt, $one:tt, $routes:ident:
     $list:ident, $create:ident, $get:ident, $replace:ident, $delete:ident) => {
        #[utoipa::path(
            tag = "settings", params(ListQuery), summary = concat!("List ", $what, " settings"),
            description = "In the order of application: custom settings by priority, among equal ones the older first, then \
                the default. Of the custom settings whose distribution holds a user the first applies. What may be a key is \
                shown to an `admin` alone, to others `***` in its place.",
            responses((status = 200, description = "One page", body = Page<Setting<$Content>>))
        )]
        #[get($path)]
        async fn $list(
            state: web::Data<State>,
            caller: Caller,
            request: HttpRequest,
            Params(asked): Params<ListQuery>,
        ) -> Result<HttpResponse, ApiError> {
            list::<$Content>(&state, caller, &request, asked).await
        }

        #[utoipa::path(
            tag = "settings", request_body = $Request, summary = concat!("Create a custom ", $what, " setting"),
            description = "Applies to the members of the groups and to the users in its distribution. A field that is left out \
                takes its default.",
            params(("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key and body gets the first answer, with `***` for what may be a key")),
            responses((status = 201, description = "Created", body = Setting<$Content>, headers(("Location" = String, description = "The setting"))))
        )]
        #[post($path)]
        async fn $create(
            state: web::Data<State>,
            trail: Trail,
            once: Once<Body<$Request, SELECTION>>,
        ) -> Result<HttpResponse, ApiError> {
            create::<$Content>(&state, trail, once).await
        }

        #[utoipa::path(
            tag = "settings", summary = concat!("Get a ", $what, " setting"), description = "The default's id is `default`. What may be a key is \
                shown to an `admin` alone, to others `***` in its place.",
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
            show::<$Content>(&state, caller, &request, id).await
        }

        #[utoipa::path(
            tag = "settings", request_body = $Request, summary = concat!("Replace a ", $what, " setting"),
            description = "A field that is left out takes its default. What GET gave can be put back, also with `***` in it: that \
                keeps what is stored. Of the default, name, \
                priority and distribution cannot be changed. Invitations that are sent already stay as they are.",
            params(
                ("id" = String, Path, description = "The setting's id, or `default`"),
                ("If-Match" = Option<String>, Header, description = "Change only the version with this `ETag`"),
            ),
            responses(
                (status = 200, description = "The setting as changed", body = Setting<$Content>),
                (status = 412, description = "The setting has changed since", body = Problem),
            )
        )]
        #[put($one)]
        async fn $replace(
            state: web::Data<State>,
            trail: Trail,
            request: HttpRequest,
            Which(id): Which,
            expected: Expected,
            body: Body<$Request, SELECTION>,
        ) -> Result<HttpResponse, ApiError> {
            replace::<$Content>(&state, trail, &request, (id, expected), body.value).await
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
                (status = 409, description = "`default_setting`: the default cannot be deleted", body = Problem),
                (status = 412, description = "The setting has changed since", body = Problem),
            )
        )]
        #[delete($one)]
        async fn $delete(
            state: web::Data<State>,
            trail: Trail,
            Which(id): Which,
            expected: Expected,
        ) -> Result<HttpResponse, ApiError> {
            remove::<$Content>(&state, trail, id, expected).await
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
    Id(id, ..): Id<UserSettings>,
) -> Result<HttpResponse, ApiError> {
    let keys = Arc::clone(&state.keys);
    let get = move |connection: &mut PgConnection| {
        let settings = queries::with_sources(connection, &keys, id)?;
        Ok(settings.map(|mut settings| {
            let registration = &mut settings.registration;
            registration.content = seen(std::mem::take(&mut registration.content), &caller);
            settings
        }))
    };
    Ok(no_store(resource::read(&state, &request, get).await?))
}
