//! `/users/export` and `/users/import/template`.

use actix_web::{
    HttpResponse, get,
    http::header::{ContentDisposition, DispositionParam, DispositionType},
    web::{self, Bytes},
};
use deserr::{Deserr, IntoValue, Map, Value, ValuePointerRef};
use futures_util::{StreamExt, stream};
use utoipa::IntoParams;

use crate::{
    audit::Trail,
    http::{csv::Separator, error::ApiError, extract::Params, route::Register},
    model::{
        caller::Permission,
        wire::{Faults, QueryTypes},
    },
    selection::domain::UserFilter,
    state::State,
    users::{
        csv::written::{self, MARK},
        export::{Export, ExportError, MOST_ATTRIBUTES},
    },
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    api.permit(Permission::Read, get_import_template)
        .permit(Permission::Read, export_users);
}

impl From<ExportError> for ApiError {
    fn from(error: ExportError) -> Self {
        match error {
            ExportError::TooWide(count) => Self::new(
                422,
                "too_many_columns",
                format!(
                    "The users have attributes of {count} different names, and a file has room for \
                     {MOST_ATTRIBUTES}. Export fewer users at a time: `group` and the other filters help."
                ),
            ),
            ExportError::Db(error) => error.into(),
        }
    }
}

/// The query of a file that a spreadsheet may open.
#[derive(Debug, Deserr, IntoParams)]
#[deserr(error = Faults, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FileQuery {
    /// Begin the file with a byte-order mark: Excel takes it for UTF-8 then. An import passes over the mark.
    #[param(value_type = Option<bool>)]
    #[deserr(default)]
    bom: bool,
    /// What stands between the cells: `semicolon` for an Excel whose language has a decimal comma. An import reads both.
    #[param(inline, value_type = Option<Separator>)]
    #[deserr(default = Separator::Comma)]
    separator: Separator,
}

impl QueryTypes for FileQuery {
    const FLAGS: &'static [&'static str] = &["bom"];
}

/// The query of `GET /users/export`: the filters, and how the file is written.
struct ExportQuery {
    file: FileQuery,
    filter: UserFilter,
}

impl Deserr<Faults> for ExportQuery {
    fn deserialize_from_value<V: IntoValue>(
        value: Value<V>,
        location: ValuePointerRef,
    ) -> Result<Self, Faults> {
        fn taken<T: Deserr<Faults>, V: IntoValue>(
            value: Option<V>,
            default: T,
            location: ValuePointerRef,
        ) -> Result<T, Faults> {
            value.map_or(Ok(default), |value| {
                T::deserialize_from_value(value.into_value(), location)
            })
        }
        let (bom, separator, value) = match value {
            Value::Map(mut members) => (
                members.remove("bom"),
                members.remove("separator"),
                Value::Map(members),
            ),
            other => (None, None, other),
        };
        let mut faults = Faults::default();
        let bom = faults.keep(taken(bom, false, location.push_key("bom")));
        let separator = taken(separator, Separator::Comma, location.push_key("separator"));
        let separator = faults.keep(separator);
        let filter = faults.keep(UserFilter::deserialize_from_value(value, location));
        match (bom, separator, filter) {
            (Some(bom), Some(separator), Some(filter)) => Ok(Self {
                file: FileQuery { bom, separator },
                filter,
            }),
            _ => Err(faults),
        }
    }
}

impl QueryTypes for ExportQuery {
    const FLAGS: &'static [&'static str] = &["enabled", "name_clash", "bom"];
    const NUMBERS: &'static [&'static str] = UserFilter::NUMBERS;
}

impl QueryTypes for UserFilter {
    const FLAGS: &'static [&'static str] = &["enabled", "name_clash"];
}

fn mark(is_wanted: bool) -> &'static [u8] {
    if is_wanted { MARK.as_bytes() } else { b"" }
}

fn csv(name: &str) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .content_type("text/csv; charset=utf-8")
        .insert_header(ContentDisposition {
            disposition: DispositionType::Attachment,
            parameters: vec![DispositionParam::Filename(name.to_owned())],
        });
    response
}

/// Get an empty import file
///
/// The header row, with every column that an import knows, and one line that shows how a user is written. An import
/// passes over that line: it is known by its address at the reserved domain `example.com`, with its names.
#[utoipa::path(
    tag = "users", params(FileQuery),
    responses((status = 200, description = "The header row and an example", body = String, content_type = "text/csv"))
)]
#[get("/users/import/template")]
async fn get_import_template(Params(asked): Params<FileQuery>) -> HttpResponse {
    let file = [mark(asked.bom), &written::template(asked.separator)].concat();
    csv("users-template.csv").body(file)
}

/// Export users
///
/// All that match the filters, as CSV (RFC 4180) that `POST /users/import` takes back. Cells that a
/// spreadsheet could run as a formula begin with a `'`, which the import takes off again. Read to the
/// end: an answer that breaks off was not whole. Users whose attributes have more names than a file has
/// columns are refused.
#[utoipa::path(
    tag = "users", params(FileQuery, UserFilter),
    responses((status = 200, description = "The users", body = String, content_type = "text/csv"))
)]
#[get("/users/export")]
async fn export_users(
    state: web::Data<State>,
    trail: Trail,
    Params(asked): Params<ExportQuery>,
) -> Result<HttpResponse, ApiError> {
    let ExportQuery { file, filter } = asked;
    let db = state.db.clone();
    let (mut export, header) = Export::begin(db, filter, file.separator, trail).await?;
    // The first rows before the answer begins: a database that is away is a 503 still.
    let first = export.advance().await?.unwrap_or_default();
    let rest = stream::try_unfold(export, |mut export| async move {
        let rows = export.advance().await.map_err(ApiError::from)?;
        Ok::<_, ApiError>(rows.map(|rows| (Bytes::from(rows), export)))
    });
    let begin = [
        Bytes::from_static(mark(file.bom)),
        header.into(),
        first.into(),
    ];
    let begin = stream::iter(begin.map(Ok));
    Ok(csv("users.csv").streaming(begin.chain(rest)))
}
