-- Retires a device ($1) at a time ($2), and counts it out. In SQL, since one statement changes two tables.
WITH retired AS (
    UPDATE devices SET retired_at = $2 WHERE id = $1 AND retired_at IS NULL RETURNING user_id
)
UPDATE user_activity a SET device_count = a.device_count - 1 FROM retired r WHERE a.user_id = r.user_id
