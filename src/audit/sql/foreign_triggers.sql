-- The triggers of tables ($1) of a schema ($2). In SQL, since it asks the catalogs.
SELECT tgname::text AS name, relname::text AS of,
    replace(pg_get_triggerdef(t.oid), quote_ident($2) || '.', '')
        || CASE WHEN tgenabled IN ('O', 'A') THEN '' ELSE ' (off)' END AS what
FROM pg_trigger t JOIN pg_class c ON c.oid = tgrelid JOIN pg_proc p ON p.oid = tgfoid
WHERE relnamespace = quote_ident($2)::regnamespace AND relname = ANY ($1::text[])
    AND NOT (tgisinternal AND tgconstraint <> 0 AND pronamespace = 'pg_catalog'::regnamespace AND tgenabled IN ('O', 'A'))
ORDER BY tgname, relname
