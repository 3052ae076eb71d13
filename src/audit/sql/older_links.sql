-- The next $3 links behind a position ($1), and up to another one ($2), with their events. In SQL, since it is planned anew each time:
-- a plan for any limit sorts the whole table.
SELECT e.id, e.at, e.actor_kind, e.actor_id, e.actor_name, e.action, e.subject_kind, e.subject_id, e.request_id, e.address,
    e.person_id, e.details_hash, e.key_id, e.mac, e.who_salt, e.who_hash,
    l.position, l.key_id AS link_key, l.mac AS link_mac
FROM audit_links l JOIN audit_events e ON e.id = l.event_id
WHERE l.position > $1 AND l.position <= $2 ORDER BY l.position, l.event_id LIMIT $3
