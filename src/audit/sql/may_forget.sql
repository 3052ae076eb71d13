-- Whether whoever asks owns what is said of how long events are kept, or may change it. In SQL, since it asks the catalogs of a
-- table that may not be there.
SELECT coalesce(has_table_privilege(to_regclass('audit_retention')::oid, 'DELETE'), false) AS may
