-- Whether somebody else than a user ($1) has a username ($2) or an address ($3), as either. In SQL, since both are asked at once.
SELECT EXISTS (SELECT FROM user_names WHERE key = enlist_name_key($2) AND user_id <> $1) AS username,
    EXISTS (SELECT FROM user_names WHERE key = enlist_name_key($3) AND user_id <> $1) AS email
