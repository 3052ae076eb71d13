-- Distributes a setting ($1) to groups ($2) that it is not distributed to yet, in the order of their ids.
-- In SQL, since it inserts from an array.
INSERT INTO setting_groups (setting_id, group_id) SELECT $1, id FROM unnest($2::uuid[]) id ORDER BY id
ON CONFLICT DO NOTHING
