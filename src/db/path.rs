//! Where names are looked up, whatever database and role say: in Postgres' own schema first, in ours next, and in the
//! temporary one last. So nothing that somebody made elsewhere is taken for a table or function of ours, or of Postgres.

use diesel::{
    prelude::*,
    sql_types::{Nullable, Text},
};

use super::errors::DbError;

/// What every connection is told first. Ours is the first schema that is named and is there and is not one of Postgres';
/// Postgres' own comes before it since it is not named. Where there is none nothing is found, as before.
pub(super) const FIRST_OURS: &str = "DO $$ \
     DECLARE home pg_catalog.name := (SELECT named FROM pg_catalog.unnest(pg_catalog.current_schemas(false)) named \
        WHERE NOT pg_catalog.starts_with(named::pg_catalog.text, 'pg_') LIMIT 1); \
     BEGIN IF home IS NOT NULL THEN \
     PERFORM pg_catalog.set_config('search_path', pg_catalog.format('%I, public, pg_temp', home), false); \
     END IF; END $$";

/// Inside a transaction: does what needs only what Postgres brings, and gives it the name of our schema.
///
/// # Errors
/// As `work`, and when the database is away or we have no schema.
pub fn looking_at_home<T>(
    connection: &mut PgConnection,
    work: impl FnOnce(&mut PgConnection, &str) -> Result<T, DbError>,
) -> Result<T, DbError> {
    #[derive(QueryableByName)]
    struct Was {
        #[diesel(sql_type = Nullable<Text>)]
        home: Option<String>,
        #[diesel(sql_type = Text)]
        path: String,
    }
    let was: Was = diesel::sql_query(include_str!("sql/home.sql")).get_result(connection)?;
    let home = was
        .home
        .ok_or_else(|| DbError::Stored("search_path names no schema that is there".into()))?;
    look(connection, "pg_catalog, pg_temp")?;
    let done = work(connection, &home)?;
    look(connection, &was.path)?;
    Ok(done)
}

fn look(connection: &mut PgConnection, path: &str) -> QueryResult<()> {
    diesel::sql_query("SELECT pg_catalog.set_config('search_path', $1, true)")
        .bind::<Text, _>(path)
        .execute(connection)?;
    Ok(())
}
