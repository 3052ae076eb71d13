-- The links behind a position ($3) of events of some kinds ($1), done to some ($2) or, where that is NULL, to anything.
-- In SQL, since it is planned anew each time: whether $2 is there decides which index is read.
SELECT l.position, l.event_id, l.key_id, l.mac, l.linked_at, l.found, l.hash, d.salt, d.before, d.after,
    d.event_id IS NOT NULL AS has_details, false AS queued
FROM audit_links l LEFT JOIN audit_details d ON d.event_id = l.event_id
JOIN audit_events e ON e.id = l.event_id
WHERE l.position > $3 AND e.action = ANY ($1::text[]) AND ($2::uuid[] IS NULL OR e.subject_id = ANY ($2)) ORDER BY l.position
