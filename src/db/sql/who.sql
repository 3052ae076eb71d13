-- Who asks, and what of that matters.
-- In SQL: it asks the catalogs, whose tables diesel does not know.
SELECT current_user::text AS role, rolsuper AS is_super, oid = (
    SELECT relowner FROM pg_class WHERE oid = to_regclass('__diesel_schema_migrations')
) AS is_owner
FROM pg_roles WHERE rolname = current_user
