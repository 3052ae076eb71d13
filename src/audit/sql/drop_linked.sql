-- Takes events out of the next $1 of the queue that have a link, or are not there. In SQL, since a table is looked up in what is
-- deleted from it, and since it is planned anew each time: the queue is empty or long.
DELETE FROM audit_unlinked u
WHERE u.event_id IN (SELECT event_id FROM audit_unlinked ORDER BY number, event_id LIMIT $1)
    AND (EXISTS (SELECT FROM audit_links l WHERE l.event_id = u.event_id)
        OR NOT EXISTS (SELECT FROM audit_events e WHERE e.id = u.event_id))
