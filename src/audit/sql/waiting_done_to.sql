-- The events of some kinds ($1), done to some ($2) or, where that is NULL, to anything, that have no link behind a position ($3).
-- In SQL, since it has the columns of a link, and is planned anew each time: whether $2 is there decides which index is read.
SELECT 0::bigint AS position, e.id AS event_id, '' AS key_id, ''::bytea AS mac, NULL::timestamptz AS linked_at,
    NULL::smallint AS found, NULL::bytea AS hash, d.salt, d.before, d.after, d.event_id IS NOT NULL AS has_details,
    EXISTS (SELECT FROM audit_unlinked q WHERE q.event_id = e.id) AS queued
FROM audit_events e LEFT JOIN audit_details d ON d.event_id = e.id
WHERE e.action = ANY ($1::text[]) AND ($2::uuid[] IS NULL OR e.subject_id = ANY ($2))
    AND NOT EXISTS (SELECT FROM audit_links l WHERE l.event_id = e.id AND l.position > $3)
