//! A statement in SQL that Postgres plans once. Diesel's `sql_query` is parsed and planned anew each time,
//! which takes about as long as a redemption itself.

use diesel::{
    pg::Pg,
    prelude::*,
    query_builder::{AstPass, Query, QueryFragment, QueryId},
    sql_types::Untyped,
};

/// A statement and what is bound to its `$1`, `$2`, …: a tuple of `value.into_sql::<Type>()`.
#[derive(Debug, Clone)]
pub struct Prepared<B> {
    sql: &'static str,
    binds: B,
}

impl<B> Prepared<B> {
    /// `sql` may name each parameter wherever and as often as it wants.
    pub fn new(sql: &'static str, binds: B) -> Self {
        Self { sql, binds }
    }
}

impl<B> Query for Prepared<B> {
    type SqlType = Untyped;
}
impl<B> RunQueryDsl<PgConnection> for Prepared<B> {}
impl<B> QueryId for Prepared<B> {
    type QueryId = ();
    const HAS_STATIC_QUERY_ID: bool = false;
}
impl<B: QueryFragment<Pg>> QueryFragment<Pg> for Prepared<B> {
    fn walk_ast<'b>(&'b self, mut pass: AstPass<'_, 'b, Pg>) -> QueryResult<()> {
        // The library writes a parameter where it binds it, once and in order: so in a comment.
        pass.push_sql("/* ");
        self.binds.walk_ast(pass.reborrow())?;
        pass.push_sql(" */ ");
        pass.push_sql(self.sql);
        Ok(())
    }
}
