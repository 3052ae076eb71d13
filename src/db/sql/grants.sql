-- What was granted to a role ($2), to everybody or to a role that it has: of the database, the schema, the tables that this version
-- knows ($1) and those of a newer one, their columns, and sequences.
-- In SQL: it asks the catalogs, whose tables diesel does not know.
WITH objects AS (
    SELECT 'DATABASE' AS kind, datname AS name, NULL::name AS part, datdba AS owner,
        coalesce(datacl, acldefault('d', datdba)) AS acl
    FROM pg_database WHERE datname = current_database()
    UNION ALL
    SELECT 'SCHEMA', nspname, NULL, nspowner, coalesce(nspacl, acldefault('n', nspowner))
    FROM pg_namespace WHERE nspname = current_schema()
    UNION ALL
    SELECT 'TABLE', relname, NULL, relowner, relacl FROM pg_class
    WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind IN ('r', 'p') AND (
        relname = ANY ($1::name[])
        OR relowner = (SELECT relowner FROM pg_class WHERE oid = to_regclass('__diesel_schema_migrations'))
    )
    UNION ALL
    SELECT 'TABLE', relname, attname, relowner, attacl FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid
    WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind IN ('r', 'p') AND (
        relname = ANY ($1::name[])
        OR relowner = (SELECT relowner FROM pg_class WHERE oid = to_regclass('__diesel_schema_migrations'))
    ) AND attacl IS NOT NULL
    UNION ALL
    SELECT 'SEQUENCE', relname, NULL, relowner, relacl
    FROM pg_class WHERE relkind = 'S' AND relnamespace = quote_ident(current_schema())::regnamespace
)
SELECT kind, name::text, quote_ident(name) AS quoted, quote_ident(part) AS column, privilege_type AS privilege,
    CASE grantee WHEN 0 THEN 'PUBLIC' ELSE grantee::regrole::text END AS grantee,
    grantee = (SELECT oid FROM pg_roles WHERE rolname = $2) AS is_own
FROM objects, aclexplode(acl)
WHERE grantee <> owner AND (grantee = 0 OR pg_has_role($2::name, grantee, 'USAGE'))
ORDER BY kind DESC, name, privilege_type, part NULLS FIRST
