-- Gives back messages ($1) that are still ours by their attempts ($2) and were never tried, at a time ($3); those of a
-- canceled batch are not sent, and their invitations end.
-- In SQL, since one statement changes two tables, each in the order of its ids.
WITH ours AS (
    SELECT m.id FROM unnest($1::uuid[], $2::int4[]) AS h(id, attempts) JOIN messages m ON m.id = h.id
    WHERE m.attempts = h.attempts AND m.state = 'sending'
    ORDER BY m.id FOR NO KEY UPDATE OF m
), given AS (
    UPDATE messages m
    SET due_at = $3, attempts = m.attempts - 1,
        state = CASE WHEN m.canceled THEN 'suppressed' WHEN m.attempts > 1 THEN 'deferred' ELSE 'queued' END,
        reason = CASE WHEN m.canceled THEN 'canceled' ELSE m.reason END
    FROM ours WHERE m.id = ours.id
    RETURNING m.invitation_id, m.canceled
), ended AS (
    SELECT i.id FROM invitations i
    WHERE i.state = 'pending' AND i.id IN (SELECT invitation_id FROM given WHERE canceled)
    ORDER BY i.id FOR NO KEY UPDATE
)
UPDATE invitations i
SET state = CASE WHEN i.expires_at <= $3 THEN 'expired' ELSE 'revoked' END, ended_at = least(i.expires_at, $3)
FROM ended WHERE i.id = ended.id AND i.state = 'pending'
