-- Looks at the next $1 entries of the queue, and deletes those whose event has a link already or no longer exists.
-- In SQL, since diesel cannot delete from a table by a query of the same table; and it is planned anew each time, since the queue
-- may be empty or long.
DELETE FROM audit_unlinked u
WHERE u.event_id IN (SELECT event_id FROM audit_unlinked ORDER BY number, event_id LIMIT $1)
    AND (EXISTS (SELECT FROM audit_links l WHERE l.event_id = u.event_id)
        OR NOT EXISTS (SELECT FROM audit_events e WHERE e.id = u.event_id))
