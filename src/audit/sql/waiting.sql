-- The next $3 events behind an id ($1) that have no link behind a position ($2), with their details.
-- In SQL, since it has the columns of a link, and is planned anew each time: a plan for any limit sorts the whole table.
SELECT 0::bigint AS position, e.id AS event_id, '' AS key_id, ''::bytea AS mac, NULL::timestamptz AS linked_at,
    NULL::smallint AS found, NULL::bytea AS hash, d.salt, d.before, d.after, d.event_id IS NOT NULL AS has_details,
    EXISTS (SELECT FROM audit_unlinked q WHERE q.event_id = e.id) AS queued
FROM audit_events e LEFT JOIN audit_details d ON d.event_id = e.id
WHERE e.id > $1 AND NOT EXISTS (SELECT FROM audit_links l WHERE l.event_id = e.id AND l.position > $2)
ORDER BY e.id LIMIT $3
