-- Who has a name ($1), as a username or as an address, and the newest invitation: one row, even if there is nobody.
-- In SQL, since users are held before invitations, so that nobody is disabled or deleted half-way, as when sending.
WITH found AS (
    SELECT u.id, u.username, u.email, u.display_name, u.enabled, u.password_hash
    FROM users u WHERE u.id = (SELECT user_id FROM user_names WHERE key = enlist_name_key($1)) FOR KEY SHARE
), newest AS (
    SELECT i.* FROM found f
    JOIN user_activity a ON a.user_id = f.id
    JOIN invitations i ON i.id = a.latest_invitation_id
    FOR NO KEY UPDATE OF i
)
SELECT f.id AS user_id, f.username, f.email, f.display_name, f.enabled, f.password_hash,
    n.id AS invitation_id, n.method, n.state, n.device_ownership, n.locale, n.key_id, n.counter, n.pin_length,
    n.pin_lifetime_days, n.pin_issued_at, n.expires_at, n.registration_id, n.pin_tries, n.pin_locked_until
FROM (VALUES (1)) one LEFT JOIN found f ON true LEFT JOIN newest n ON true
