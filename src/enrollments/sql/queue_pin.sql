-- Queues a mail ($3) with the PIN of an invitation ($1), the next one if $5 says so, and notes that its user ($2) asked for it
-- now ($4). In SQL, since one statement changes three tables.
WITH renewed AS (
    UPDATE invitations SET counter = counter + 1, pin_issued_at = NULL WHERE id = $1 AND $5
), noted AS (
    INSERT INTO pin_requests (id, user_id, requested_at) VALUES ($3, $2, $4)
)
INSERT INTO messages (id, kind, invitation_id, state, attempts, due_at, created_at)
VALUES ($3, 'invitation', $1, 'queued', 0, $4, $4)
