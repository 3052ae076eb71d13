-- What else is wrong with tables ($1) of a schema ($2), in words. In SQL, since it asks the catalogs.
WITH tables AS (
    SELECT oid, relname FROM pg_class
    WHERE relnamespace = quote_ident($2)::regnamespace AND relname = ANY ($1::text[]) AND relkind = 'r' AND relpersistence = 'p'
)
SELECT format('the rule %s on %s is not ours', rulename, relname) AS line
FROM pg_rewrite JOIN tables ON tables.oid = ev_class
UNION ALL SELECT format('rows of %s are hidden from some', relname) FROM pg_class
WHERE oid IN (SELECT oid FROM tables) AND relrowsecurity
UNION ALL SELECT format('%s is no table', name) FROM unnest($1::text[]) name
WHERE NOT EXISTS (SELECT FROM tables WHERE relname = name)
UNION ALL SELECT format('%s has parts, or is one: its rows are not in one place', relname) FROM tables
WHERE EXISTS (SELECT FROM pg_inherits WHERE tables.oid IN (inhrelid, inhparent))
UNION ALL SELECT format('%s has no key', relname) FROM tables
WHERE NOT EXISTS (SELECT FROM pg_index WHERE indrelid = tables.oid AND indisprimary AND indisvalid)
UNION ALL SELECT format('the policy %s on %s is not ours', polname, relname)
FROM pg_policy JOIN tables ON tables.oid = polrelid
UNION ALL SELECT format('a constraint, default or index of %s calls %s', relname, called)
FROM pg_depend JOIN (
    SELECT 'pg_constraint'::regclass AS class, oid, conrelid AS of FROM pg_constraint
    UNION ALL SELECT 'pg_attrdef'::regclass, oid, adrelid FROM pg_attrdef
    UNION ALL SELECT 'pg_class'::regclass, indexrelid, indrelid FROM pg_index
) parts ON classid = class AND objid = parts.oid JOIN tables ON tables.oid = parts.of
CROSS JOIN LATERAL (SELECT replace(replace(identity, 'pg_catalog.', ''), quote_ident($2) || '.', '') AS called
    FROM pg_identify_object(refclassid, refobjid, 0)) object
WHERE refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass)
    AND NOT (relname = 'audit_details' AND called = 'enlist_ids_in(text,text)')
