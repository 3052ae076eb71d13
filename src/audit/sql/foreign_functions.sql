-- The functions of a schema ($1) that are called as ours are. In SQL, since it asks the catalogs.
SELECT proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' AS name,
    CASE WHEN NOT pg_has_role(proowner, relowner, 'MEMBER') THEN proowner::regrole::text END AS of,
    left(encode(sha256(convert_to(concat_ws(E'\n', lanname, prosecdef, provolatile,
        (SELECT string_agg(replace(setting, ' ' || quote_ident($1) || ',', ' *,'), E'\n' ORDER BY setting)
            FROM unnest(proconfig) setting),
        (SELECT string_agg(DISTINCT CASE
                WHEN EXISTS (SELECT FROM pg_depend WHERE classid = of.class AND objid = of.oid AND deptype = 'e') THEN '+'
                WHEN of.namespace <> pronamespace THEN of.namespace::regnamespace || '.'
                ELSE '' END || of.name, E'\n')
            FROM pg_depend d JOIN (
                SELECT 'pg_proc'::regclass AS class, oid, pronamespace AS namespace, proname AS name FROM pg_proc
                UNION ALL SELECT 'pg_class'::regclass, oid, relnamespace, relname FROM pg_class
            ) of ON of.class = refclassid AND of.oid = refobjid
            WHERE classid = 'pg_proc'::regclass AND objid = p.oid),
        prosrc), 'UTF8')), 'hex'), 32) AS what
FROM pg_proc p JOIN pg_language l ON l.oid = prolang JOIN pg_class c ON relnamespace = pronamespace AND relname = 'audit_events'
WHERE pronamespace = quote_ident($1)::regnamespace AND proname LIKE 'enlist\_%' ORDER BY 1
