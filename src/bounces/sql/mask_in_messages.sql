-- Puts masked words ($3) into messages ($1) that still have what was read ($2): what somebody wrote meanwhile stays.
-- In SQL, since it joins arrays, and locks rows in the order in which results of deliveries lock them.
WITH held AS (
    SELECT t.id, s.masked FROM unnest($1::uuid[], $2::text[], $3::text[]) AS s(id, reason, masked) JOIN messages t ON t.id = s.id
    WHERE t.reason = s.reason ORDER BY t.id FOR NO KEY UPDATE OF t
)
UPDATE messages t SET reason = held.masked FROM held WHERE t.id = held.id
