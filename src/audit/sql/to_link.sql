-- The next $1 events of the queue, in its order. In SQL, since it is planned anew each time: the queue is short or long.
SELECT e.id, e.at, e.actor_kind, e.actor_id, e.actor_name, e.action, e.subject_kind, e.subject_id, e.request_id, e.address,
    e.person_id, e.details_hash, e.key_id, e.mac, e.who_salt, e.who_hash
FROM audit_unlinked u JOIN audit_events e ON e.id = u.event_id ORDER BY u.number, e.id LIMIT $1
