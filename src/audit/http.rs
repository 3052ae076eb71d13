//! `GET /audit-events`, and who does what a request asks for.

use std::sync::Arc;

use actix_web::{FromRequest, HttpRequest, HttpResponse, dev::Payload, get, web};
use diesel::PgConnection;
use serde_json::json;

use super::{
    Trail,
    domain::{Action, AuditEvent, Event, ListQuery, SubjectKind},
    queries,
};
use crate::{
    db::DbError,
    http::{
        error::ApiError,
        extract::Params,
        list::{self, List, Table},
        paging::{Page, Position},
        route::Register,
    },
    model::{caller::Permission, time::Time},
    secrets::keys::KeyRing,
    state::State,
};

/// Adds the handlers.
pub fn routes(api: &mut impl Register) {
    api.permit(Permission::Administer, list_audit_events);
}

/// Taken before the work goes to another thread, where nobody would know any more who asked for it.
impl FromRequest for Trail {
    type Error = ApiError;
    type Future = std::future::Ready<Result<Self, ApiError>>;

    fn from_request(_request: &HttpRequest, _payload: &mut Payload) -> Self::Future {
        std::future::ready(Self::current().ok_or_else(|| ApiError::internal("no trail")))
    }
}

/// What is asked for, and the keys that signatures are checked with.
struct Looked {
    asked: ListQuery,
    keys: Arc<KeyRing>,
}

impl List for Looked {
    type Row = AuditEvent;

    fn scope(&self) -> String {
        let time = |time: &Option<Time>| time.map(|time| time.0);
        let asked = &self.asked;
        let filters = (
            asked.action,
            asked.actor_id,
            asked.subject_id,
            time(&asked.from),
            time(&asked.to),
        );
        // Cursors of a version that knew no id go on.
        match asked.id {
            None => list::scope_of(&("audit-events", filters)),
            Some(id) => list::scope_of(&("audit-events", filters, id)),
        }
    }

    fn rows(
        &self,
        connection: &mut PgConnection,
        after: Option<&Position>,
        limit: i64,
    ) -> Result<Vec<AuditEvent>, DbError> {
        queries::list(connection, &self.asked, &self.keys, after, limit)
    }

    fn fitting(
        &self,
        connection: &mut PgConnection,
        after: Option<&Position>,
        limit: usize,
    ) -> Result<usize, DbError> {
        queries::fitting(connection, &self.asked, after, limit)
    }

    fn count(&self, connection: &mut PgConnection) -> Result<i64, DbError> {
        queries::count(connection, &self.asked)
    }

    fn position(&self, last: &AuditEvent) -> Position {
        Position::of(last.id)
    }
}

impl Table for Looked {
    const FILE: &'static str = "audit-events.csv";
    const COLUMNS: &'static [&'static str] = &[
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
        "signature",
        "id",
    ];

    fn cells(event: AuditEvent) -> Vec<String> {
        let id = |id: Option<uuid::Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        let json = |value: Option<serde_json::Value>| {
            value.map(|value| value.to_string()).unwrap_or_default()
        };
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
            event.signature.to_string(),
            event.id.to_string(),
        ]
    }
}

/// Look at the audit log
///
/// Who did what, the newest first. A page holds fewer events than `limit` where they are large: about 1 MiB. With `Accept: text/csv` all that match come as one file instead of a page.
#[utoipa::path(
    tag = "access", params(ListQuery),
    responses((status = 200, description = "One page", content((Page<AuditEvent> = "application/json"), (String = "text/csv"))))
)]
#[get("/audit-events")]
async fn list_audit_events(
    state: web::Data<State>,
    trail: Trail,
    request: HttpRequest,
    Params(mut asked): Params<ListQuery>,
) -> Result<HttpResponse, ApiError> {
    let filter = json!({
        "id": asked.id, "action": asked.action, "actor_id": asked.actor_id, "subject_id": asked.subject_id,
        "from": asked.from.map(|time| time.0), "to": asked.to.map(|time| time.0),
    });
    let begun = move |connection: &mut PgConnection, rows| {
        let event = Event::new(Action::AuditEventsExported, SubjectKind::AuditLog, None);
        trail.record(
            connection,
            &event.after(&json!({"filter": filter, "rows": rows})),
        )
    };
    let (paging, keys) = (asked.paging(), Arc::clone(&state.keys));
    list::page_or_csv(&state, &request, paging, Looked { asked, keys }, begun).await
}
