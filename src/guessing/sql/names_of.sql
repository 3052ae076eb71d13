-- All names of a user ($1), as names are compared. In SQL, since a function gives them as rows.
SELECT n.key FROM users u, enlist_names_of(u.username, u.email, u.username_key, u.email_key) n
WHERE u.id = $1 ORDER BY n.key
