-- The owner's functions, which run with the owner's rights, that a role ($1) may not call.
-- In SQL: it asks the catalogs, whose tables diesel does not know.
SELECT oid::regprocedure::text AS signature FROM pg_proc
WHERE pronamespace = quote_ident(current_schema())::regnamespace AND proname LIKE 'enlist\_%'
    AND prosecdef AND NOT has_function_privilege($1::name, oid, 'EXECUTE')
ORDER BY 1
