-- An invitation ($1), if it still has this counter ($2), and its user. In SQL, since users are held before invitations.
WITH found AS (
    SELECT u.* FROM users u WHERE u.id = (SELECT user_id FROM invitations WHERE id = $1) FOR KEY SHARE
), newest AS (
    SELECT i.* FROM found f JOIN invitations i ON i.id = $1 AND i.user_id = f.id AND i.counter = $2
    FOR NO KEY UPDATE OF i
)
SELECT f.id AS user_id, f.username, f.email, f.display_name, f.enabled, f.password_hash,
    n.id AS invitation_id, n.method, n.state, n.device_ownership, n.locale, n.key_id, n.counter, n.pin_length,
    n.pin_lifetime_days, n.pin_issued_at, n.expires_at, n.registration_id, n.pin_tries, n.pin_locked_until
FROM found f CROSS JOIN newest n
