-- The next $3 events behind an id ($2) whose details are about a person ($1), that were done to things of theirs ($4, with the person), or that name
-- one of these. In SQL, since each part has a limit of its own. What is named is looked up by itself, so that it is found by what
-- it names and not by reading all in the order of ids.
WITH named AS MATERIALIZED (
    SELECT event_id FROM audit_details WHERE enlist_ids_in(before, after) && $4::uuid[]::text[]
)
SELECT e.id, e.at, e.action, e.actor_kind, d.before, d.after
FROM (
    (SELECT id FROM audit_events WHERE subject_id = ANY ($4::uuid[]) AND id > $2 ORDER BY id LIMIT $3)
    UNION
    (SELECT event_id FROM named WHERE event_id > $2 ORDER BY event_id LIMIT $3)
    UNION
    (SELECT event_id FROM audit_details WHERE person_id = $1 AND event_id > $2 ORDER BY event_id LIMIT $3)
    ORDER BY id LIMIT $3
) found
JOIN audit_events e ON e.id = found.id
LEFT JOIN audit_details d ON d.event_id = e.id AND d.person_id = $1
ORDER BY e.id
