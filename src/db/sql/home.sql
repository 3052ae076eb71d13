-- The name of our schema, and where names are looked up. In SQL, since nothing is taken for what is in Postgres' own schema.
SELECT pg_catalog.current_schema()::pg_catalog.text AS home, pg_catalog.current_setting('search_path') AS path
