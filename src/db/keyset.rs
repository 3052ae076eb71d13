//! What keyset paging needs of SQL: a comparison as one expression, and a limit that the planner sees.

use diesel::{
    expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate},
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, QueryFragment, QueryId},
    sql_types::Bool,
};
use uuid::Uuid;

/// `(column, tie) > (value, id)`, which walks an index where the same in `OR`s would not.
#[derive(Debug, Clone)]
pub struct Beyond<C, V, I> {
    /// What a list is sorted by.
    pub column: C,
    /// The id that breaks ties.
    pub tie: I,
    /// Whether the list runs backwards: then it is `<`.
    pub descending: bool,
    /// The last row's `column`.
    pub value: V,
    /// The last row's `tie`.
    pub id: Uuid,
}

impl<C, V, I> Expression for Beyond<C, V, I> {
    type SqlType = Bool;
}
impl<C, V, I, GB> ValidGrouping<GB> for Beyond<C, V, I> {
    type IsAggregate = is_aggregate::No;
}
impl<C: AppearsOnTable<QS>, V, I: AppearsOnTable<QS>, QS> AppearsOnTable<QS> for Beyond<C, V, I> {}
impl<C: AppearsOnTable<QS>, V, I: AppearsOnTable<QS>, QS> SelectableExpression<QS>
    for Beyond<C, V, I>
{
}
impl<C, V, I> QueryId for Beyond<C, V, I> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}
impl<C, V, I> QueryFragment<Pg> for Beyond<C, V, I>
where
    C: QueryFragment<Pg> + Expression,
    I: QueryFragment<Pg>,
    V: diesel::serialize::ToSql<C::SqlType, Pg>,
    Pg: diesel::sql_types::HasSqlType<C::SqlType>,
{
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        pass.push_sql("(");
        self.column.walk_ast(pass.reborrow())?;
        pass.push_sql(", ");
        self.tie.walk_ast(pass.reborrow())?;
        pass.push_sql(if self.descending { ") < (" } else { ") > (" });
        pass.push_bind_param::<C::SqlType, V>(&self.value)?;
        pass.push_sql(", ");
        pass.push_bind_param::<diesel::sql_types::Uuid, Uuid>(&self.id)?;
        pass.push_sql(")");
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
