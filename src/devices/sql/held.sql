-- The devices that are held under a serial number ($1) or an id ($2), locked.
-- In SQL, since it is planned anew each time: a plan from when there were few devices reads an index from end to end.
SELECT * FROM devices
WHERE retired_at IS NULL AND (lower(serial_number) = lower($1) OR device_id = $2)
ORDER BY id FOR NO KEY UPDATE
