-- An extension that we need and that is in another schema than `public`.
-- In SQL: it asks the catalogs, whose tables diesel does not know.
SELECT extname::text AS name, nspname::text AS schema FROM pg_extension JOIN pg_namespace n ON n.oid = extnamespace
WHERE extname IN ('unaccent', 'pg_trgm') AND nspname <> 'public' ORDER BY extname LIMIT 1
