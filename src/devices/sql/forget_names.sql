-- Takes what devices of a user ($1) are known by out of them, in the order of their ids. One of serial number and id must be
-- there, so the row's own id takes its place. In SQL, since the rows are locked in an order before they are changed.
WITH held AS (SELECT id FROM devices WHERE user_id = $1 ORDER BY id FOR NO KEY UPDATE)
UPDATE devices d SET serial_number = NULL, device_id = d.id::text, model = NULL, os_version = NULL
FROM held WHERE d.id = held.id
