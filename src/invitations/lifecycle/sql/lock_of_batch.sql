-- Locks the invitations of a batch ($1) whose newest mail is in one of some states ($2), with what decides whether they may be
-- resent. Whose user is deleted is left out.
-- In SQL for its EXISTS of an expression, and since one of two joined tables is locked.
SELECT i.id, i.user_id, i.state, i.expires_at, i.resent_at, u.email IS NOT NULL AS has_email,
    EXISTS (SELECT FROM suppressions s WHERE s.email = lower(u.email)) AS is_suppressed
FROM invitations i LEFT JOIN users u ON u.id = i.user_id
WHERE i.batch_id = $1 AND i.user_id IS NOT NULL AND (
    SELECT m.state FROM messages m WHERE m.invitation_id = i.id AND m.kind = 'invitation' ORDER BY m.id DESC LIMIT 1
) = ANY ($2)
ORDER BY i.id FOR NO KEY UPDATE OF i
