-- Keeps messages ($1) that are still ours by their attempts ($2) until a time ($3), and says how their invitations are now.
-- In SQL, since they are locked in the order of their ids first, so that two that hold several of them wait for each
-- other and not for ever.
WITH ours AS (
    SELECT m.id FROM unnest($1::uuid[], $2::int4[]) AS h(id, attempts) JOIN messages m ON m.id = h.id
    WHERE m.attempts = h.attempts AND m.state = 'sending'
    ORDER BY m.id FOR NO KEY UPDATE OF m
)
UPDATE messages m SET due_at = $3 FROM ours WHERE m.id = ours.id
RETURNING m.id, m.canceled AS is_canceled,
    (SELECT i.state FROM invitations i WHERE i.id = m.invitation_id AND m.kind <> 'confirmation') AS state
