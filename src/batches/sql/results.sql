-- Up to $4 rows of what happened to the recipients of a batch ($1), after one of them ($3; $2 says whether that was skipped):
-- the invitations, then who was skipped. In SQL, since each half has an order and a limit of its own.
SELECT * FROM (
    (SELECT id AS sort_id, user_id, id AS invitation_id, NULL::text AS reason FROM invitations
     WHERE batch_id = $1 AND NOT $2 AND id > $3 ORDER BY id LIMIT $4)
    UNION ALL
    (SELECT user_id, user_id, NULL, reason FROM batch_skips
     WHERE batch_id = $1 AND (NOT $2 OR user_id > $3) ORDER BY user_id LIMIT $4)
) page
ORDER BY reason IS NOT NULL, sort_id LIMIT $4
