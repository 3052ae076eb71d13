-- The invitation of whoever has a name ($1) that is pending at a time ($2), locked, so that requests take turns.
-- In SQL, since users are held before invitations, so that nobody is disabled or deleted half-way.
WITH found AS (
    SELECT u.id, u.username, u.email, u.display_name, u.enabled, u.password_hash
    FROM users u WHERE u.id = (SELECT user_id FROM user_names WHERE key = enlist_name_key($1)) FOR KEY SHARE
)
SELECT i.* FROM found f JOIN invitations i ON i.user_id = f.id AND i.state = 'pending'
WHERE f.enabled AND f.email IS NOT NULL AND i.expires_at > $2
FOR NO KEY UPDATE OF i
