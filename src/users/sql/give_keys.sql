-- Gives users ($1) the keys of their normal names ($2, $3), where those differ from the names themselves; a trigger keeps
-- `user_names` in step. In SQL, since many rows are changed at once by arrays.
UPDATE users u SET username_key = nullif(enlist_name_key(odd.username), enlist_name_key(u.username)),
    email_key = nullif(enlist_name_key(odd.email), enlist_name_key(u.email))
FROM unnest($1::uuid[], $2::text[], $3::text[]) AS odd (id, username, email) WHERE u.id = odd.id
