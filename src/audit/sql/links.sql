-- The next $3 links behind one, which has a position ($1) and an event ($2), with the details of their events.
-- In SQL, since it compares rows, and is planned anew each time: a plan for any limit sorts the whole table.
SELECT l.position, l.event_id, l.key_id, l.mac, l.linked_at, l.found, l.hash, d.salt, d.before, d.after,
    d.event_id IS NOT NULL AS has_details, false AS queued
FROM audit_links l LEFT JOIN audit_details d ON d.event_id = l.event_id
WHERE (l.position, l.event_id) > ($1, $2) ORDER BY l.position, l.event_id LIMIT $3
