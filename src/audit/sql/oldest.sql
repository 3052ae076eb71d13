-- The first $1 links, and when each is as old as its event: when it was linked counts, too, since that the writer says it is old
-- does not make it so. What an older version wrote beside this one goes with the event that says so, and not before.
-- In SQL, since it computes with intervals.
SELECT l.position, greatest(e.at, l.linked_at)
    + CASE WHEN e.action = 'audit_log.upgraded' THEN interval '25 hours' ELSE interval '0' END AS at
FROM audit_links l JOIN audit_events e ON e.id = l.event_id ORDER BY l.position LIMIT $1
