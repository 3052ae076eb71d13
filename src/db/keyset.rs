//! What keyset paging needs of SQL: an order that is data, a comparison as one expression, and a limit that the planner sees.

use chrono::{DateTime, Utc};
use diesel::{
    expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate},
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::{Bool, Text, Timestamptz, Uuid as SqlUuid},
};
use uuid::Uuid;

use super::errors::DbError;

/// What a list is sorted by: a column, and the id that breaks ties.
#[derive(Clone, Copy)]
pub struct Sorted {
    column: Fragment,
    tie: Fragment,
    kind: Kind,
    descending: bool,
}

type Fragment = &'static (dyn QueryFragment<Pg> + Sync);

#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Text,
    Time,
}

/// What a column can hold that a list is sorted by.
pub trait Sortable {
    const KIND: Kind;
}

impl Sortable for Text {
    const KIND: Kind = Kind::Text;
}

impl Sortable for Timestamptz {
    const KIND: Kind = Kind::Time;
}

impl Sorted {
    /// By a column, upwards.
    pub fn by<C, I>(column: &'static C, tie: &'static I) -> Self
    where
        C: Expression<SqlType: Sortable> + QueryFragment<Pg> + Sync,
        I: Expression<SqlType = SqlUuid> + QueryFragment<Pg> + Sync,
    {
        Self {
            column,
            tie,
            kind: C::SqlType::KIND,
            descending: false,
        }
    }

    /// The other way around.
    pub fn descending(self) -> Self {
        Self {
            descending: true,
            ..self
        }
    }

    /// `(column, tie) > (value, id)`, which walks an index where the same in `OR`s would not. The value is as it was told to a
    /// client, in whose cursor it comes back.
    ///
    /// # Errors
    /// When it is no value of the column.
    pub fn beyond(self, value: &str, id: Uuid) -> Result<Beyond, DbError> {
        let value = match self.kind {
            Kind::Text => Value::Text(value.to_owned()),
            Kind::Time => Value::Time(
                value
                    .parse()
                    .map_err(|_| DbError::Stored("cursor".into()))?,
            ),
        };
        Ok(Beyond {
            sorted: self,
            value,
            id,
        })
    }

    /// The order itself.
    pub fn order(self) -> Order {
        Order(self)
    }
}

/// See [`Sorted::beyond`].
pub struct Beyond {
    sorted: Sorted,
    value: Value,
    id: Uuid,
}

enum Value {
    Text(String),
    Time(DateTime<Utc>),
}

/// See [`Sorted::order`].
pub struct Order(Sorted);

/// Both are made of columns of the query that they are used in; the database says so where they are not.
macro_rules! of_any_query {
    ($name:ty, $sql:ty) => {
        impl Expression for $name {
            type SqlType = $sql;
        }
        impl<GB> ValidGrouping<GB> for $name {
            type IsAggregate = is_aggregate::No;
        }
        impl<QS> AppearsOnTable<QS> for $name {}
        impl<QS> SelectableExpression<QS> for $name {}
        impl QueryId for $name {
            type QueryId = ();
            const HAS_STATIC_QUERY_ID: bool = false;
        }
    };
}

of_any_query!(Beyond, Bool);
of_any_query!(Order, Bool);

impl QueryFragment<Pg> for Beyond {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let compared = if self.sorted.descending {
            ") < ("
        } else {
            ") > ("
        };
        pass.push_sql("(");
        self.sorted.column.walk_ast(pass.reborrow())?;
        pass.push_sql(", ");
        self.sorted.tie.walk_ast(pass.reborrow())?;
        pass.push_sql(compared);
        match &self.value {
            Value::Text(value) => pass.push_bind_param::<Text, _>(value)?,
            Value::Time(value) => pass.push_bind_param::<Timestamptz, _>(value)?,
        }
        pass.push_sql(", ");
        pass.push_bind_param::<SqlUuid, _>(&self.id)?;
        pass.push_sql(")");
        Ok(())
    }
}

impl QueryFragment<Pg> for Order {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        let way = if self.0.descending { " DESC" } else { " ASC" };
        self.0.column.walk_ast(pass.reborrow())?;
        pass.push_sql(way);
        pass.push_sql(", ");
        self.0.tie.walk_ast(pass.reborrow())?;
        pass.push_sql(way);
        Ok(())
    }
}

/// A query for so many rows. The library binds a limit as a parameter, and a generic plan takes an
/// unknown limit for a tenth of the table: then it sorts, or starts parallel workers, where the first
/// rows of an index are all that is wanted.
#[derive(Debug, Clone)]
pub struct Limited<Q> {
    query: Q,
    rows: i64,
}

impl<Q> Limited<Q> {
    /// The first `rows` of `query`, which has no limit of its own.
    pub fn new(query: Q, rows: i64) -> Self {
        Self { query, rows }
    }
}

impl<Q: diesel::query_builder::Query> diesel::query_builder::Query for Limited<Q> {
    type SqlType = Q::SqlType;
}
impl<Q> RunQueryDsl<PgConnection> for Limited<Q> {}
impl<Q> QueryId for Limited<Q> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}
impl<Q: QueryFragment<Pg>> QueryFragment<Pg> for Limited<Q> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        self.query.walk_ast(pass.reborrow())?;
        pass.push_sql(" LIMIT ");
        pass.push_sql(&self.rows.to_string());
        Ok(())
    }
}
