-- Writes an event down, with its details where there are some ($12: their hash), and puts it into the queue of the chain. Gives how
-- many rows were taken. In SQL, since one statement writes to three tables.
WITH event AS (
    INSERT INTO audit_events (id, at, actor_kind, actor_id, actor_name, action, subject_kind, subject_id,
        request_id, address, person_id, details_hash, key_id, mac, who_salt, who_hash)
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $16, $17, $18, $19)
    RETURNING id
), unlinked AS (
    INSERT INTO audit_unlinked (event_id) VALUES ($1) RETURNING event_id
), details AS (
    INSERT INTO audit_details (event_id, person_id, salt, before, after)
    SELECT $1, $11, $13, $14, $15 WHERE $12 IS NOT NULL
    RETURNING event_id
)
SELECT (SELECT count(*) FROM event) + (SELECT count(*) FROM unlinked) + (SELECT count(*) FROM details) AS rows
