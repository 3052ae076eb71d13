-- The keys that something is sealed under. In SQL, since it is recursive: one step through the index for each key, however many
-- versions there are.
WITH RECURSIVE keys AS (
    SELECT min(sealed_under) AS id FROM setting_versions
    UNION ALL
    SELECT (SELECT min(sealed_under) FROM setting_versions WHERE sealed_under > keys.id) FROM keys
    WHERE keys.id IS NOT NULL
)
SELECT id FROM keys WHERE id IS NOT NULL
