-- Retires all devices of a user ($1) at a time ($2), in the order of their ids, and counts them out.
-- In SQL, since one statement changes two tables.
WITH held AS (
    SELECT id FROM devices WHERE user_id = $1 AND retired_at IS NULL ORDER BY id FOR NO KEY UPDATE
), retired AS (
    UPDATE devices d SET retired_at = $2 FROM held WHERE d.id = held.id AND d.retired_at IS NULL RETURNING d.id
), counted AS (
    UPDATE user_activity SET device_count = device_count - (SELECT count(*) FROM retired) WHERE user_id = $1
)
SELECT id FROM retired ORDER BY id
