-- Queues messages ($2) for invitations ($1) at a time ($3). One that waits is sent at once instead; reminders that wait are not sent.
-- In SQL, since one statement locks, changes and adds rows, many at once by arrays.
WITH again AS (
    SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS a (invitation_id, message_id)
), waiting AS (
    SELECT m.id, m.invitation_id FROM messages m JOIN again a ON a.invitation_id = m.invitation_id
    WHERE m.kind = 'invitation' AND m.state NOT IN ('sending', 'accepted', 'bounced', 'failed', 'suppressed')
    FOR UPDATE OF m SKIP LOCKED
), hurried AS (
    UPDATE messages m SET due_at = $3, created_at = $3 FROM waiting WHERE m.id = waiting.id
), reminders AS (
    SELECT m.id FROM messages m JOIN again a ON a.invitation_id = m.invitation_id
    WHERE m.kind = 'reminder' AND m.state NOT IN ('sending', 'accepted', 'bounced', 'failed', 'suppressed')
    FOR UPDATE OF m SKIP LOCKED
), dropped AS (
    UPDATE messages m SET state = 'suppressed', reason = 'resent' FROM reminders WHERE m.id = reminders.id
)
INSERT INTO messages (id, kind, invitation_id, state, attempts, due_at, created_at)
SELECT message_id, 'invitation', invitation_id, 'queued', 0, $3, $3 FROM again
WHERE invitation_id NOT IN (SELECT invitation_id FROM waiting)
