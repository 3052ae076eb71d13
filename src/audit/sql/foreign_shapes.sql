-- What tables ($1) of a schema ($2) have: columns, keys, and what they refer to. In SQL, since it asks the catalogs.
SELECT relname::text AS name, NULL AS of, replace(string_agg(part, '; ' ORDER BY part COLLATE "C"), quote_ident($2) || '.', '') AS what
FROM pg_class c CROSS JOIN LATERAL (
    SELECT concat(attname, ' ', format_type(atttypid, atttypmod),
        CASE WHEN attcollation <> typcollation THEN ' COLLATE ' || attcollation::regcollation END,
        CASE WHEN attnotnull THEN ' NOT NULL' END, ' ' || nullif(concat(attidentity, attgenerated), '')) AS part
    FROM pg_attribute JOIN pg_type t ON t.oid = atttypid WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
    UNION ALL
    SELECT concat(CASE WHEN indisprimary THEN 'PRIMARY KEY' ELSE 'UNIQUE' END,
        substring(pg_get_indexdef(indexrelid) FROM ' USING .*'),
        CASE WHEN NOT (indisvalid AND indisready AND indimmediate) THEN ' (not at once)' END)
    FROM pg_index WHERE indrelid = c.oid AND indisunique
    UNION ALL
    SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = c.oid AND contype = 'f'
) parts
WHERE relnamespace = quote_ident($2)::regnamespace AND relname = ANY ($1::text[]) GROUP BY relname ORDER BY relname
