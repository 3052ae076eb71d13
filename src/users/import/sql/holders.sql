-- Who has each of these usernames ($1) and addresses ($2), by their places. In SQL, since they come as arrays.
SELECT g.place, g.of_username, n.user_id AS id, n.is_username, n.is_email
FROM (
    SELECT true, * FROM unnest($1::text[]) WITH ORDINALITY
    UNION ALL SELECT false, * FROM unnest($2::text[]) WITH ORDINALITY
) AS g (of_username, name, place)
JOIN user_names n ON n.key = enlist_name_key(g.name)
