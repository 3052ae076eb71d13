-- Roles that the role can become and that may do more than read how the server is, and what it owns of the tables that this version
-- knows ($1), those of a newer one, their schema and the database; with what takes each.
-- In SQL: it asks the catalogs, whose tables diesel does not know.
WITH me AS (SELECT oid, rolname FROM pg_roles WHERE rolname = current_user),
home AS (SELECT relowner AS owner FROM pg_class WHERE oid = to_regclass('__diesel_schema_migrations')),
objects AS (
    SELECT 'DATABASE' AS kind, datname AS name, datdba AS owner FROM pg_database WHERE datname = current_database()
    UNION ALL
    SELECT 'SCHEMA', nspname, nspowner FROM pg_namespace WHERE nspname = current_schema()
    UNION ALL
    SELECT 'TABLE', relname, relowner FROM pg_class
    WHERE relnamespace = quote_ident(current_schema())::regnamespace AND relkind IN ('r', 'p') AND (
        relname = ANY ($1::name[])
        OR relowner = (SELECT relowner FROM pg_class WHERE oid = to_regclass('__diesel_schema_migrations'))
    )
)
SELECT 'become ' || of.rolname AS what, format('REVOKE %I FROM %I', of.rolname, me.rolname) AS remedy
FROM me JOIN pg_auth_members m ON m.member = me.oid JOIN pg_roles of ON of.oid = m.roleid
WHERE EXISTS (
    SELECT FROM pg_roles other, home WHERE pg_has_role(of.oid, other.oid, 'MEMBER') AND (
        other.oid = home.owner OR other.rolsuper OR other.rolreplication OR other.rolbypassrls OR other.rolcreaterole
        OR other.rolcreatedb OR other.rolname LIKE 'pg\_%' AND other.rolname NOT IN
            ('pg_monitor', 'pg_read_all_settings', 'pg_read_all_stats', 'pg_stat_scan_tables')
    )
)
UNION ALL
SELECT format('do everything with the %s %I, which it owns', lower(kind), name),
    format('ALTER %s %I OWNER TO %s', kind, name, home.owner::regrole)
FROM me, home, objects WHERE objects.owner = me.oid
ORDER BY 1
