-- The tables that this version knows ($1) and those of a newer one, and what a role ($2) may do with each.
-- In SQL: it asks the catalogs, whose tables diesel does not know.
SELECT relname::text AS name, pg_has_role($2::name, relowner, 'MEMBER') AS is_owned,
    EXISTS (
        SELECT FROM pg_attribute a, aclexplode(a.attacl) part
        WHERE a.attrelid = c.oid AND part.grantee = (SELECT oid FROM pg_roles WHERE rolname = $2)
    ) AS has_parts,
    ARRAY(
        SELECT privilege
        FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) privilege
        WHERE has_table_privilege($2::name, oid, privilege)
    ) AS held
FROM pg_class c
WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind IN ('r', 'p') AND (
    relname = ANY ($1::name[])
    OR relowner = (SELECT relowner FROM pg_class WHERE oid = to_regclass('__diesel_schema_migrations'))
)
ORDER BY relname
