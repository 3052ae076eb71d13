-- Cancels a batch ($1) at a time ($2), if anything of it is still to be sent: what is on the wire is marked, the rest is not sent,
-- and its invitations end. In SQL, since one statement changes three tables, messages and then invitations in the order of their ids.
WITH unsent AS (
    SELECT id FROM messages
    WHERE batch_id = $1 AND state NOT IN ('accepted', 'bounced', 'failed', 'suppressed')
    ORDER BY id FOR NO KEY UPDATE
), stopped AS (
    UPDATE messages m
    SET canceled = true,
        state = CASE WHEN m.state = 'sending' THEN 'sending' ELSE 'suppressed' END,
        reason = CASE WHEN m.state = 'sending' THEN m.reason ELSE 'canceled' END
    FROM unsent
    WHERE m.id = unsent.id AND m.state NOT IN ('accepted', 'bounced', 'failed', 'suppressed')
    RETURNING m.invitation_id, m.state
), pending AS (
    SELECT i.id FROM invitations i
    WHERE i.state = 'pending' AND i.id IN (SELECT invitation_id FROM stopped WHERE state = 'suppressed')
    ORDER BY i.id FOR NO KEY UPDATE
), revoked AS (
    UPDATE invitations i
    SET state = CASE WHEN i.expires_at <= $2 THEN 'expired' ELSE 'revoked' END, ended_at = least(i.expires_at, $2)
    FROM pending WHERE i.id = pending.id AND i.state = 'pending'
)
UPDATE batches SET canceled_at = $2 WHERE id = $1 AND EXISTS (SELECT FROM stopped)
