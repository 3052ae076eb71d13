-- As by_name.sql, and counts a try with a PIN at the newest invitation: up to the most ($3, by how long the PIN is), and with
-- the pause that it begins, if it does ($2). In SQL, since one statement locks, reads and changes.
WITH found AS (
    SELECT u.id, u.username, u.email, u.display_name, u.enabled, u.password_hash
    FROM users u WHERE u.id = (SELECT user_id FROM user_names WHERE key = enlist_name_key($1)) FOR KEY SHARE
), newest AS (
    SELECT i.* FROM found f
    JOIN user_activity a ON a.user_id = f.id
    JOIN invitations i ON i.id = a.latest_invitation_id
    FOR NO KEY UPDATE OF i
), counted AS (
    UPDATE invitations i SET pin_tries = n.pin_tries + 1, pin_locked_until = coalesce($2, n.pin_locked_until)
    FROM newest n WHERE i.id = n.id AND n.pin_tries < ($3::int4[])[n.pin_length]
)
SELECT f.id AS user_id, f.username, f.email, f.display_name, f.enabled, f.password_hash,
    n.id AS invitation_id, n.method, n.state, n.device_ownership, n.locale, n.key_id, n.counter, n.pin_length,
    n.pin_lifetime_days, n.pin_issued_at, n.expires_at, n.registration_id, n.pin_tries, n.pin_locked_until
FROM (VALUES (1)) one LEFT JOIN found f ON true LEFT JOIN newest n ON true
