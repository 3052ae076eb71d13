-- Enrollments of a user ($1) after an id ($2), as many as $3, each with what became of its confirmation.
-- In SQL, since whole rows become JSON: a column that is added later is in it.
SELECT e.id, to_jsonb(e) - 'user_id' || jsonb_build_object('confirmation', (
    SELECT jsonb_build_object(
        'id', m.id, 'state', m.state, 'attempts', m.attempts, 'last_attempt_at', m.last_attempt_at,
        'smtp_code', m.smtp_code, 'enhanced_status', m.enhanced_status, 'reason', m.reason
    )
    FROM messages m WHERE m.enrollment_id = e.id AND m.kind = 'confirmation'
)) AS row
FROM enrollments e WHERE e.user_id = $1 AND e.id > $2 ORDER BY e.id LIMIT $3
