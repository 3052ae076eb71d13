-- When a user ($1) asked for the PIN again, after an id ($2), as many as $3. In SQL, since rows become JSON.
SELECT id, jsonb_build_object('requested_at', requested_at) AS row
FROM pin_requests WHERE user_id = $1 AND id > $2 ORDER BY id LIMIT $3
