-- The next versions that are to be sealed, at most $3 behind an id ($2): what is sealed under other keys ($1), and, if $4 is true,
-- what is not sealed. In SQL, since both parts have a limit of their own, and the second has the words of the index
-- `setting_versions_unsealed`.
SELECT id, body FROM (
    (SELECT id, body FROM setting_versions WHERE sealed_under = ANY ($1) AND id > $2 ORDER BY id LIMIT $3)
    UNION ALL
    (SELECT id, body FROM setting_versions WHERE $4 AND id > $2 AND (body ->> 'mdm_url' IS NOT NULL
        OR body ->> 'qr_payload' IS NOT NULL AND body #>> '{qr_payload,kind}' IS DISTINCT FROM 'enrollment_url')
     ORDER BY id LIMIT $3)
) v ORDER BY id LIMIT $3
