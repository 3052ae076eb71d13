//! Lists: one way to page through rows, to count them, and to hand all of them out as a CSV file.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header::{self, Accept, Header},
    web::Bytes,
};
use diesel::PgConnection;
use futures_util::{StreamExt, stream};
use serde::Serialize;

use super::{
    csv::{self, Separator},
    error::ApiError,
    paging::{self, Page, Paging, Position},
    respond,
};
use crate::{
    db::{Db, DbError},
    state::State,
};

/// Rows of a CSV file that are read at a time.
const CSV_PAGE: usize = 500;

/// Rows in an order, of which pages are read.
pub trait List: Send + Sync + 'static {
    /// One row, as it is shown.
    type Row: Serialize + Send;

    /// The list's name, its filters and its order in one text: a cursor is good for these alone. The text must stay as it
    /// is, or cursors that an older version gave are refused.
    fn scope(&self) -> String;

    /// The first `limit` rows behind a position.
    ///
    /// # Errors
    /// When the database is not available.
    fn rows(
        &self,
        connection: &mut PgConnection,
        after: Option<&Position>,
        limit: i64,
    ) -> Result<Vec<Self::Row>, DbError>;

    /// How many of the next `limit` rows are shown at once: one at least. A list whose rows may be large says fewer.
    ///
    /// # Errors
    /// When the database is not available.
    fn fitting(
        &self,
        _connection: &mut PgConnection,
        _after: Option<&Position>,
        limit: usize,
    ) -> Result<usize, DbError> {
        Ok(limit)
    }

    /// How many rows there are in all.
    ///
    /// # Errors
    /// When the database is not available.
    fn count(&self, connection: &mut PgConnection) -> Result<i64, DbError>;

    /// Where a page ends that ends with this row.
    fn position(&self, last: &Self::Row) -> Position;

    /// Whether the query is planned for its very values, as a filter with an index of its own wants it: for one value the
    /// index is best, for another the order of the list.
    fn is_selective(&self) -> bool {
        false
    }

    /// For rows that belong to something, such as the results of a batch: its name if it does not exist, which is a 404.
    ///
    /// # Errors
    /// When the database is not available.
    fn missing(&self, _connection: &mut PgConnection) -> Result<Option<&'static str>, DbError> {
        Ok(None)
    }
}

/// A list that is also had as a CSV file.
pub trait Table: List {
    /// The file's name.
    const FILE: &'static str;
    /// The names of its columns.
    const COLUMNS: &'static [&'static str];

    /// A row's cells, one a column.
    fn cells(row: Self::Row) -> Vec<String>;
}

/// The next rows of a list, and whether there are more behind them, which one row more tells.
fn some<L: List>(
    list: &L,
    connection: &mut PgConnection,
    after: Option<&Position>,
    limit: usize,
) -> Result<(Vec<L::Row>, bool), DbError> {
    let limit = list.fitting(connection, after, limit)?;
    let probe = i64::try_from(limit).unwrap_or(i64::MAX).saturating_add(1);
    let mut rows = list.rows(connection, after, probe)?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    Ok((rows, more))
}

fn opened(state: &State, scope: &str, cursor: Option<&str>) -> Result<Option<Position>, ApiError> {
    cursor
        .map(|cursor| paging::open(&state.keys, scope, cursor))
        .transpose()
        .map_err(|fault| ApiError::invalid(vec![fault]))
}

/// A scope of several parts.
pub fn scope_of(parts: &impl Serialize) -> String {
    // Names, numbers and texts: there is nothing in it that could not be written.
    serde_json::to_string(parts).unwrap_or_default()
}

/// Answers with one page of a list.
///
/// # Errors
/// 422 for a cursor of another list; 404 where what the rows are of is not there; 503 when the database is not available.
pub async fn page(
    state: &State,
    request: &HttpRequest,
    paging: Paging,
    list: impl List,
) -> Result<HttpResponse, ApiError> {
    let scope = list.scope();
    let after = opened(state, &scope, paging.cursor.as_deref())?;
    let (keys, is_selective) = (state.keys.clone(), list.is_selective());
    let work = move |connection: &mut PgConnection| {
        if let Some(what) = list.missing(connection)? {
            return Ok(Err(what));
        }
        let (rows, more) = some(&list, connection, after.as_ref(), paging.limit.rows())?;
        let total = paging.count.then(|| list.count(connection)).transpose()?;
        let page = Page::of(rows, more, total, |last| {
            paging::seal(&keys, &scope, &list.position(last))
        });
        page.write()
            .map(Ok)
            .map_err(|error| DbError::Stored(error.to_string()))
    };
    let db = if paging.count {
        state.db.aside()
    } else {
        state.db.clone()
    };
    let page = if is_selective {
        db.search(work).await?
    } else {
        db.read(work).await?
    };
    let page = page.map_err(ApiError::not_found)?;
    Ok(respond::page(request, page))
}

/// Answers with one page of a list, or with all of it as a CSV file where the client asks for one. That an export is begun
/// is written down by `begun`, which is told how many rows match, before the first row is on its way: whoever cuts the
/// connection has begun one all the same.
///
/// # Errors
/// As [`page`]; that it cannot be written down.
pub async fn page_or_csv<L: Table>(
    state: &State,
    request: &HttpRequest,
    paging: Paging,
    list: L,
    begun: impl FnOnce(&mut PgConnection, i64) -> Result<(), DbError> + Send + 'static,
) -> Result<HttpResponse, ApiError> {
    let wants_csv =
        Accept::parse(request).is_ok_and(|accept| accept.preference().essence_str() == "text/csv");
    if !wants_csv {
        return page(state, request, paging, list).await;
    }
    let after = opened(state, &list.scope(), paging.cursor.as_deref())?;
    let list = std::sync::Arc::new(list);
    let counted = std::sync::Arc::clone(&list);
    state
        .db
        .aside()
        .transaction(move |connection| {
            let rows = counted.count(connection)?;
            begun(connection, rows)
        })
        .await?;
    // The first rows before the answer begins: a database that is away is a 503 still.
    let mut first = csv::rows(Separator::Comma, |write| {
        write(L::COLUMNS.iter().map(|&name| name.to_owned()).collect())
    });
    let begun = chunk(&state.db, &list, after).await?;
    let last = begun.map(|(rows, last)| {
        first.extend(rows);
        last
    });
    let rest = stream::try_unfold(
        (state.db.clone(), list, last),
        |(db, list, last)| async move {
            let Some(last) = last else { return Ok(None) };
            let next = chunk(&db, &list, Some(last))
                .await
                .map_err(ApiError::from)?;
            Ok::<_, ApiError>(next.map(|(rows, last)| (Bytes::from(rows), (db, list, Some(last)))))
        },
    );
    let all = stream::iter([Ok(Bytes::from(first))]).chain(rest);
    Ok(HttpResponse::Ok()
        .content_type("text/csv; charset=utf-8; header=present")
        .insert_header((
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{}\"", L::FILE),
        ))
        .streaming(all))
}

/// The next rows as text, and where they ended; `None` at the end. No connection is held between two of them.
async fn chunk<L: Table>(
    db: &Db,
    list: &std::sync::Arc<L>,
    after: Option<Position>,
) -> Result<Option<(Vec<u8>, Position)>, DbError> {
    let shared = std::sync::Arc::clone(list);
    let (rows, _) = db
        .read(move |connection| some(&*shared, connection, after.as_ref(), CSV_PAGE))
        .await?;
    let Some(last) = rows.last().map(|row| list.position(row)) else {
        return Ok(None);
    };
    let text = csv::rows(Separator::Comma, |write| {
        rows.into_iter().for_each(|row| write(L::cells(row)))
    });
    Ok(Some((text, last)))
}
