//! `/audit-events`.

use actix_web::{
    HttpRequest, HttpResponse, get,
    http::header::{self, Accept, Header},
    web::{self, Bytes},
};
use futures_util::stream;

use super::{
    domain::{AuditEvent, ListQuery},
    queries,
};
use crate::{
    db::{Db, DbError},
    http::{
        error::ApiError,
        extract::Params,
        paging::{self, Page, Position},
        respond,
        route::Register,
    },
    model::caller::Permission,
    state::State,
    users::csv::table,
};

/// Rows of a CSV file that are read at a time.
const CSV_PAGE: i64 = 500;

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    api.permit(Permission::Administer, list_audit_events);
}

fn position(event: &AuditEvent) -> Position {
    Position {
        key: String::new(),
        id: event.id,
    }
}

/// Whether a table is wanted rather than JSON.
fn wants_csv(request: &HttpRequest) -> bool {
    Accept::parse(request).is_ok_and(|accept| accept.preference().essence_str() == "text/csv")
}

/// Look at the audit log
///
/// Who did what, the newest first. With `Accept: text/csv` all that match come as one file instead of a page.
#[utoipa::path(
    tag = "access", params(ListQuery),
    responses((status = 200, description = "One page", content((Page<AuditEvent> = "application/json"), (String = "text/csv"))))
)]
#[get("/audit-events")]
async fn list_audit_events(
    state: web::Data<State>,
    request: HttpRequest,
    Params(asked): Params<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    let filters = (
        asked.action,
        asked.actor_id,
        asked.subject_id,
        asked.from.map(|time| time.0),
        asked.to.map(|time| time.0),
    );
    let query = serde_json::to_string(&("audit-events", filters)).map_err(ApiError::internal)?;
    let after = asked
        .cursor
        .as_deref()
        .map(|cursor| paging::open(&state.keys, &query, cursor))
        .transpose()
        .map_err(|fault| ApiError::invalid(vec![fault]))?;
    if wants_csv(&request) {
        return as_csv(state.db.clone(), asked, after).await;
    }
    let limit = asked.limit;
    let (rows, total) = state
        .db
        .read(move |connection| {
            let rows = queries::list(connection, &asked, after.as_ref(), limit.probe())?;
            let total = asked
                .count
                .then(|| queries::count(connection, &asked))
                .transpose()?;
            Ok((rows, total))
        })
        .await?;
    let page = Page::of(rows, limit, total, |last| {
        paging::seal(&state.keys, &query, &position(last))
    });
    Ok(respond::page(
        &request,
        page.write().map_err(ApiError::internal)?,
    ))
}

const COLUMNS: [&str; 11] = [
    "at",
    "action",
    "actor_kind",
    "actor_id",
    "actor_name",
    "subject_kind",
    "subject_id",
    "request_id",
    "address",
    "before",
    "after",
];

fn cells(event: AuditEvent) -> Vec<String> {
    let id = |id: Option<uuid::Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let json =
        |value: Option<serde_json::Value>| value.map(|value| value.to_string()).unwrap_or_default();
    vec![
        event
            .at
            .to_rfc3339_opts(chrono::SecondsFormat::Micros, true),
        event.action,
        event.actor.kind.to_string(),
        id(event.actor.id),
        event.actor.name.unwrap_or_default(),
        event.subject.kind.to_string(),
        id(event.subject.id),
        event.request_id.unwrap_or_default(),
        event.address.unwrap_or_default(),
        json(event.before),
        json(event.after),
    ]
}

/// The next rows as text, and where they ended; `None` at the end.
async fn chunk(
    db: &Db,
    asked: &ListQuery,
    after: Option<Position>,
) -> Result<Option<(Vec<u8>, Position)>, DbError> {
    let asked = asked.clone();
    let events = db
        .read(move |connection| queries::list(connection, &asked, after.as_ref(), CSV_PAGE))
        .await?;
    let Some(last) = events.last().map(position) else {
        return Ok(None);
    };
    let text = table::rows(|write| events.into_iter().for_each(|event| write(cells(event))));
    Ok(Some((text, last)))
}

async fn as_csv(
    db: Db,
    asked: ListQuery,
    after: Option<Position>,
) -> Result<HttpResponse, ApiError> {
    // The first rows before the answer begins: a database that is away is a 503 still.
    let mut first = table::rows(|write| write(COLUMNS.map(str::to_owned).to_vec()));
    let begun = chunk(&db, &asked, after).await?;
    let last = begun.map(|(rows, last)| {
        first.extend(rows);
        last
    });
    let rest = stream::try_unfold((db, asked, last), |(db, asked, last)| async move {
        let Some(last) = last else { return Ok(None) };
        let next = chunk(&db, &asked, Some(last))
            .await
            .map_err(ApiError::from)?;
        Ok::<_, ApiError>(next.map(|(rows, last)| (Bytes::from(rows), (db, asked, Some(last)))))
    });
    let all = futures_util::StreamExt::chain(stream::iter([Ok(Bytes::from(first))]), rest);
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8; header=present")
        .insert_header((
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"audit-events.csv\"",
        ))
        .streaming(all))
}
