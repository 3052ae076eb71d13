-- Puts members ($1) into the groups of these names ($2), and gives those who were not in one yet.
-- In SQL, since pairs come as arrays.
INSERT INTO group_members (group_id, user_id)
SELECT g.id, n.member FROM unnest($1::uuid[], $2::text[]) AS n (member, name)
JOIN groups g ON lower(g.name) = lower(n.name COLLATE "und-x-icu")
ON CONFLICT DO NOTHING RETURNING user_id AS id
