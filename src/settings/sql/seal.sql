-- Stores sealed bodies ($3) of versions ($1) that still are what was read ($2): what another instance has sealed meanwhile
-- stays. In SQL, since it joins arrays, and locks rows in one order before they are changed.
WITH held AS (
    SELECT v.id, s.sealed FROM unnest($1::uuid[], $2::jsonb[], $3::jsonb[]) AS s(id, body, sealed)
    JOIN setting_versions v ON v.id = s.id
    WHERE v.body = s.body ORDER BY v.id FOR NO KEY UPDATE OF v
)
UPDATE setting_versions v SET body = held.sealed FROM held WHERE v.id = held.id
