-- Locks an invitation ($1), with what decides whether it may be resent.
-- In SQL for its EXISTS of an expression, and since one of two joined tables is locked.
SELECT i.id, i.user_id, i.state, i.expires_at, i.resent_at, u.email IS NOT NULL AS has_email,
    EXISTS (SELECT FROM suppressions s WHERE s.email = lower(u.email)) AS is_suppressed
FROM invitations i LEFT JOIN users u ON u.id = i.user_id
WHERE i.id = $1 ORDER BY i.id FOR NO KEY UPDATE OF i
