-- Adds users ($2) to a group ($1) of which they are no members yet, in the order of their ids. In SQL, since it inserts from an array.
INSERT INTO group_members (group_id, user_id)
SELECT $1, user_id FROM unnest($2::uuid[]) user_id ORDER BY user_id
ON CONFLICT DO NOTHING
