-- Writes how tries ended ($1 to $9 and $11, one element each for a message) at a time ($10), and what that means for the
-- invitations. In SQL, since one statement changes two tables, each in the order of its ids.
WITH result AS (
    SELECT * FROM unnest(
        $1::uuid[], $2::int4[], $3::text[], $4::timestamptz[], $5::int2[], $6::text[], $7::text[], $8::timestamptz[], $9::int4[],
        $11::bool[]
    ) AS r(id, attempts, state, due_at, smtp_code, enhanced_status, reason, handed_over_at, counter, is_refusal)
), ours AS (
    SELECT m.id, h.state, h.due_at, h.smtp_code, h.enhanced_status, h.reason, h.handed_over_at, h.counter, h.is_refusal
    FROM result h JOIN messages m ON m.id = h.id
    WHERE m.attempts = h.attempts AND m.state = 'sending'
    ORDER BY m.id FOR NO KEY UPDATE OF m
), settled AS (
    UPDATE messages m
    SET state = CASE WHEN m.canceled AND r.state = 'deferred' THEN 'suppressed' ELSE r.state END,
        due_at = r.due_at, smtp_code = r.smtp_code, enhanced_status = r.enhanced_status,
        refusals = least(m.refusals + (r.is_refusal AND r.state = 'deferred')::int, 1000),
        reason = CASE WHEN m.canceled AND r.state = 'deferred' THEN 'canceled' ELSE r.reason END
    FROM ours r WHERE m.id = r.id
    RETURNING m.invitation_id, m.kind, m.state, m.canceled, r.handed_over_at, r.counter
), about AS (
    SELECT invitation_id, max(counter) AS counter, min(handed_over_at) AS handed_over_at,
        max(handed_over_at) FILTER (WHERE state = 'accepted') AS accepted_at,
        bool_or(canceled AND state <> 'accepted') AS canceled
    FROM settled WHERE kind <> 'confirmation' AND (canceled OR handed_over_at IS NOT NULL)
    GROUP BY invitation_id
), held AS (
    SELECT about.* FROM about JOIN invitations i ON i.id = about.invitation_id
    ORDER BY i.id FOR NO KEY UPDATE OF i
)
UPDATE invitations i
SET pin_issued_at = CASE
        WHEN a.handed_over_at IS NULL OR a.counter <> i.counter
            OR i.pin_issued_at + i.pin_lifetime_days * interval '1 day' > a.handed_over_at
        THEN i.pin_issued_at
        ELSE a.handed_over_at
    END,
    last_sent_at = coalesce(a.accepted_at, i.last_sent_at),
    state = CASE WHEN NOT a.canceled OR i.state <> 'pending' THEN i.state
        WHEN i.expires_at <= $10 THEN 'expired' ELSE 'revoked' END,
    ended_at = CASE WHEN a.canceled AND i.state = 'pending' THEN least(i.expires_at, $10) ELSE i.ended_at END
FROM held a WHERE i.id = a.invitation_id
