//! `/users/import`.

use std::{sync::Arc, time::Duration};
use tokio::sync::Semaphore;

use actix_web::{HttpRequest, HttpResponse, post, web};
use deserr::Deserr;
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use super::{
    form,
    media::Said,
    upload::{self, Way, check_announced, receive},
};
use crate::{
    audit::Trail,
    http::{
        error::ApiError,
        extract::Params,
        idempotent::{self, Begun, Scope},
        leased, respond,
        route::Register,
    },
    model::{
        caller::{Caller, Permission},
        wire::{Fault, Faults, QueryTypes},
    },
    state::State,
    users::{
        csv::mapping::ColumnMap,
        import::{self, Format, OnConflict, Options, Report, Tools, Upload},
    },
};

/// How long an import that is here waits for others.
const WAIT_FOR_PLACE: Duration = Duration::from_secs(10);

/// Files to import that may be here at once, in part or in full.
const UPLOADS: usize = 8;
/// Imports that may be under way at once.
const IMPORTS: usize = 2;

/// How many imports there may be at once.
pub struct Uploads {
    /// Places for files that are uploaded or wait: each is on disk.
    files: Arc<Semaphore>,
    /// Places for imports: each keeps some of its file in memory.
    imports: Semaphore,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            files: Arc::new(Semaphore::new(UPLOADS)),
            imports: Semaphore::new(IMPORTS),
        }
    }
}

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    api.permit(Permission::Manage, import_users);
}

/// The query of `POST /users/import`.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = Faults, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ImportQuery {
    /// Check everything, store nothing.
    #[param(value_type = Option<bool>)]
    #[deserr(default)]
    dry_run: bool,
    /// What to do with a record whose username or e-mail address a user has already; `fail` unless given.
    #[param(inline)]
    #[deserr(default)]
    on_conflict: Option<OnConflict>,
    /// Store all records or, if one is bad, none.
    #[param(value_type = Option<bool>)]
    #[deserr(default)]
    atomic: bool,
    /// Invite the users that it creates.
    #[param(value_type = Option<bool>)]
    #[deserr(default)]
    invite: bool,
    /// What columns are, whatever they are called: a JSON object of their names and a field each,
    /// `attributes.<name>`, `last_name,first_name`, or `null` for one that is left out.
    #[param(value_type = Option<String>, example = json!(r#"{"Work mail":"email","Notes":null}"#))]
    #[deserr(default)]
    columns: ColumnMap,
}

impl QueryTypes for ImportQuery {
    const FLAGS: &'static [&'static str] = &["dry_run", "atomic", "invite"];
}

/// A form with one file.
#[derive(ToSchema)]
#[schema(as = ImportForm)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only described")]
struct FormFile {
    /// CSV or a workbook.
    #[schema(value_type = String, format = Binary)]
    file: Vec<u8>,
}

/// A workbook (`.xlsx`).
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "only described")]
struct Workbook(Vec<u8>);

/// Import users
///
/// A CSV file (UTF-8, UTF-16 or what `charset=` says; fields separated by `,`, `;`, `|` or tab; a header row with
/// `username` or `email`), the first visible sheet of a workbook (`.xlsx`), either also as the one file of a form, or as
/// `text/plain` a list of e-mail addresses separated by commas, semicolons, spaces or lines, with names
/// (`Ada <ada@example.com>`) or without, or rows copied from a spreadsheet. Up to 100,000 records. Columns are known by the fields' names
/// and by what other systems call them in eight languages (422 `ambiguous_columns` where two mean one field), others
/// become attributes, and columns named like a password are left out; `groups` are names separated by `;`, and groups that are missing are created; empty cells change nothing.
/// Good records go in and bad ones are reported, unless `atomic` is set.
#[utoipa::path(
    tag = "users",
    params(
        ImportQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key, file and options gets the first answer")
    ),
    request_body(content(
        (String = "text/csv", example = "username,email,groups\r\nada,ada@example.com,Sales\r\n"),
        (Workbook = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
        (FormFile = "multipart/form-data"),
        (String = "text/plain", example = "ada@example.com, bob@example.com")
    )),
    responses(
        (status = 200, description = "What came of it", body = Report),
        (status = 400, description = "The upload breaks off, or is no form that can be read", body = crate::http::problem::Problem),
        (status = 413, description = "More than 128 MiB", body = crate::http::problem::Problem),
    )
)]
#[post("/users/import")]
async fn import_users(
    state: web::Data<State>,
    places: web::Data<Uploads>,
    trail: Trail,
    caller: Caller,
    request: HttpRequest,
    Params(asked): Params<ImportQuery>,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let way = upload::way(&request)?;
    // A bad key is refused before the upload, and where nothing is stored too.
    let has_key = idempotent::key_of(&request)?.is_some() && !asked.dry_run;
    let upload = Arc::clone(&places.files)
        .try_acquire_owned()
        .map_err(|_| ApiError {
            detail:
                "Too many files are being uploaded already. Nothing was done; try again shortly."
                    .into(),
            ..ApiError::unavailable(5, "all places for uploads are taken")
        })?;
    check_announced(&request)?;
    let (said, file, digest) = match way {
        Way::Body(said) => {
            let (file, digest) = receive(payload).await?;
            (said, file, digest)
        }
        Way::Form => form::receive(&request, payload).await?,
    };
    if said.format == Format::Addresses && !asked.columns.is_empty() {
        let detail = "a list of addresses has no columns";
        return Err(vec![Fault::new("/columns", "not_applicable", detail)].into());
    }
    let options = Options {
        on_conflict: asked.on_conflict.unwrap_or(OnConflict::Fail),
        dry_run: asked.dry_run,
        atomic: asked.atomic,
        invite: asked.invite.then(|| Arc::clone(&state.keys)),
        trail,
        lease: None,
    };
    let mut lease = None;
    if has_key {
        let body = asked_for(&digest, said, &options, &asked.columns);
        let scope = Scope::of(&request, &caller, "POST /users/import", &body, &state.keys)?;
        lease = match scope {
            Some(scope) => match leased::begin(&state, scope, body).await? {
                Begun::Done(answer) => return Ok(respond::answer(answer)),
                Begun::Ours(lease) => Some(Arc::new(lease)),
            },
            None => None,
        };
    }
    let file = Upload::new(file, said.format, said.charset).with_columns(asked.columns);
    let options = Options { lease, ..options };
    // By itself: the import goes on when its client is gone, who may come back for the answer.
    let report = tokio::spawn(async move {
        let _upload = upload;
        import_leased(&state, &places, file, options).await
    })
    .await
    .map_err(ApiError::internal)??;
    Ok(HttpResponse::Ok().json(report))
}

/// What is asked for, in one spelling: the file by its digest, and the options.
fn asked_for(digest: &[u8], said: Said, options: &Options, columns: &ColumnMap) -> Vec<u8> {
    let format = match said.format {
        Format::Csv => "csv",
        Format::Addresses => "addresses",
    };
    let charset = said.charset.filter(|charset| !charset.is_usual());
    let charset = charset.map_or_else(String::new, |charset| {
        format!("&charset={}", charset.name())
    });
    let options = format!(
        "format={format}{charset}&on_conflict={}&atomic={}&invite={}&columns={columns}",
        options.on_conflict,
        options.atomic,
        options.invite.is_some()
    );
    [digest, options.as_bytes()].concat()
}

/// Waits for a place and imports. The key is held all the while, and free again if it fails.
async fn import_leased(
    state: &web::Data<State>,
    places: &Uploads,
    file: Upload,
    options: Options,
) -> Result<Report, ApiError> {
    let (lease, invites) = (options.lease.clone(), options.invite.is_some());
    let work = async {
        // Whoever uploads slowly holds nobody up.
        let _place = timeout(WAIT_FOR_PLACE, places.imports.acquire())
            .await
            .map_err(|_| ApiError {
                detail: "Other imports are under way. Nothing was done; try again shortly.".into(),
                ..ApiError::unavailable(5, "all places for imports are taken")
            })?
            .map_err(ApiError::internal)?;
        let tools = Tools {
            db: state.db.patient(),
            hasher: state.hasher.clone(),
        };
        let report = import::import(file, options, tools, Arc::default()).await;
        if invites {
            state.bell.notify_one();
        }
        Ok(report?)
    };
    let Some(lease) = lease else {
        return work.await;
    };
    let done = tokio::select! {
        done = work => done,
        never = leased::keep(state, &lease) => match never {},
    };
    if done.is_err() {
        leased::give_back(state, lease).await;
    }
    done
}
