//! Users as CSV, page by page: memory does not grow with the table, and no connection waits for whoever
//! reads slowly.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{
    csv::{columns, records::MOST_FIELDS, written},
    domain::Sort,
    queries,
};
use crate::{
    audit::{
        Trail,
        domain::{Action, Event, SubjectKind},
    },
    db::{Db, DbError},
    http::{
        csv::{Separator, rows},
        paging::Position,
    },
    model::wire::without_addresses,
    selection::domain::UserFilter,
};

/// Rows read at a time.
const PAGE: i64 = 250;
/// In the order in which users came: rows that come meanwhile come last.
const ORDER: Sort = Sort::CreatedAt;

/// Attributes that a file has room for: an import takes back what is exported.
pub const MOST_ATTRIBUTES: usize = MOST_FIELDS - columns::PROFILE.len() - columns::STATUS.len();

/// The filters that are set, for the audit log.
fn told(filter: &UserFilter) -> Value {
    let mut told = serde_json::to_value(filter).unwrap_or_default();
    if let Some(members) = told.as_object_mut() {
        members.retain(|_, value| !value.is_null());
        for value in members.values_mut() {
            if let Value::String(text) = value {
                *text = without_addresses(text);
            }
        }
    }
    told
}

/// Why there is no export.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("the users have {0} attributes of different names")]
    TooWide(usize),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// An export under way.
pub struct Export {
    db: Db,
    filter: Arc<UserFilter>,
    separator: Separator,
    now: DateTime<Utc>,
    attributes: Arc<[String]>,
    after: Option<Position>,
    is_done: bool,
}

impl Export {
    /// Begins, and writes that down, before anything is given away: then gives the header row.
    ///
    /// # Errors
    /// When the users have more attributes than an import takes columns, or the database is away.
    pub async fn begin(
        db: Db,
        filter: UserFilter,
        separator: Separator,
        trail: Trail,
    ) -> Result<(Self, Vec<u8>), ExportError> {
        let now = trail.clock.now();
        let filter = Arc::new(filter);
        let wanted = Arc::clone(&filter);
        let (attributes, rows_found) = db
            .aside()
            .search(move |connection| {
                let names = queries::attribute_names(connection, &wanted, now)?;
                Ok((names, queries::count(connection, &wanted, now)?))
            })
            .await?;
        if attributes.len() > MOST_ATTRIBUTES {
            return Err(ExportError::TooWide(attributes.len()));
        }
        let event = Event::new(Action::UsersExported, SubjectKind::User, None)
            .after(&json!({"filter": told(&filter), "rows": rows_found}));
        db.transaction(move |connection| trail.record(connection, &event))
            .await?;
        let header = rows(separator, |write| write(written::header(&attributes)));
        let export = Self {
            db,
            filter,
            separator,
            now,
            attributes: attributes.into(),
            after: None,
            is_done: false,
        };
        Ok((export, header))
    }

    /// The next rows; `None` after the last ones.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn advance(&mut self) -> Result<Option<Vec<u8>>, DbError> {
        if self.is_done {
            return Ok(None);
        }
        let (filter, after, now) = (Arc::clone(&self.filter), self.after.take(), self.now);
        let users = self
            .db
            .search(move |connection| {
                queries::list(connection, &filter, ORDER, after.as_ref(), PAGE, now)
            })
            .await?;
        self.is_done = users.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        self.after = users.last().map(|user| queries::position(user, ORDER));
        Ok(Some(rows(self.separator, |write| {
            for user in &users {
                write(written::cells_of(user, &self.attributes));
            }
        })))
    }
}
