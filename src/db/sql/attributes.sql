-- Attributes of the role, and what takes each.
-- In SQL: it asks the catalogs, whose tables diesel does not know.
SELECT 'use the attribute ' || name AS what, format('ALTER ROLE %I NO%s', rolname, name) AS remedy
FROM pg_roles, LATERAL (VALUES
    (1, 'SUPERUSER', rolsuper), (2, 'REPLICATION', rolreplication), (3, 'BYPASSRLS', rolbypassrls),
    (4, 'CREATEROLE', rolcreaterole), (5, 'CREATEDB', rolcreatedb)
) a (number, name, is_there)
WHERE rolname = current_user AND is_there ORDER BY number
