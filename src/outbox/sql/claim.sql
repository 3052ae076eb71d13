-- Claims up to $3 messages that are due at a time ($1), until another ($2), and reads what it takes to send them.
-- In SQL, since one statement locks, changes and reads.
WITH due AS (
    SELECT id FROM messages
    WHERE state IN ('queued', 'sending', 'deferred') AND due_at <= $1
    ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED
), claimed AS (
    UPDATE messages m
    SET state = 'sending', attempts = m.attempts + 1, due_at = $2, last_attempt_at = $1
    FROM due WHERE m.id = due.id
    RETURNING m.id, m.attempts, m.refusals, m.created_at, m.invitation_id, m.enrollment_id, m.batch_id, m.kind, m.canceled
)
SELECT c.id, c.attempts, c.refusals, c.created_at AS queued_at,
    u.display_name, u.username, u.email, u.time_zone, coalesce(i.locale, u.locale) AS locale,
    EXISTS (SELECT FROM suppressions s WHERE s.email = lower(u.email)) AS is_suppressed,
    i.id AS invitation_id, c.batch_id, c.kind = 'reminder' AS is_reminder,
    CASE WHEN c.kind = 'reminder' THEN (
        SELECT r.id FROM messages r
        WHERE r.invitation_id = c.invitation_id AND r.kind = 'invitation' AND r.state = 'accepted'
        ORDER BY r.id DESC LIMIT 1
    ) END AS reminds_of,
    c.canceled AS is_canceled, i.state AS invitation_state, i.method, i.key_id, i.counter, i.pin_length,
    i.pin_lifetime_days, i.pin_issued_at, i.expires_at, b.note, i.registration_id,
    e.id AS enrollment_id, e.enrolled_at, e.ownership, d.platform, d.model,
    coalesce(d.serial_number, d.device_id) AS number
FROM claimed c
LEFT JOIN invitations i ON i.id = c.invitation_id
LEFT JOIN batches b ON b.id = i.batch_id
LEFT JOIN enrollments e ON e.id = c.enrollment_id
LEFT JOIN devices d ON d.id = e.device_id
LEFT JOIN users u ON u.id = coalesce(e.user_id, i.user_id)
