-- Takes names ($2, $3) of users ($1) from younger users who have them, and marks those.
-- In SQL, since many rows are looked up at once by arrays, and one statement changes two tables.
WITH lost AS (
    DELETE FROM user_names n USING unnest($1::uuid[], $2::text[], $3::text[]) AS odd (id, username, email)
    WHERE n.user_id > odd.id AND n.key IN (enlist_name_key(odd.username), enlist_name_key(odd.email))
    RETURNING n.user_id
)
UPDATE users SET name_clash = true WHERE id IN (SELECT user_id FROM lost)
