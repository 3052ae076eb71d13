-- Writes when invitations ($1) are to be looked at again ($2), and queues at a time ($7) reminders of some ($3, with the ids of
-- their messages in $4, their days in $5, and whether each brings the next PIN in $6). In SQL, since one statement changes two tables.
WITH due AS (
    SELECT * FROM unnest($3::uuid[], $4::uuid[], $5::date[], $6::bool[]) AS d(invitation_id, message_id, reminder_on, renew)
), queued AS (
    INSERT INTO messages (id, kind, invitation_id, state, attempts, due_at, created_at, reminder_on)
    SELECT message_id, 'reminder', invitation_id, 'queued', 0, $7::timestamptz, $7::timestamptz, reminder_on FROM due
    ON CONFLICT (invitation_id, reminder_on) WHERE kind = 'reminder' DO NOTHING
    RETURNING invitation_id
), renewed AS (
    SELECT d.invitation_id FROM due d JOIN queued q ON q.invitation_id = d.invitation_id WHERE d.renew
)
UPDATE invitations i SET remind_at = l.remind_at,
    counter = CASE WHEN r.invitation_id IS NULL THEN i.counter ELSE i.counter + 1 END,
    pin_issued_at = CASE WHEN r.invitation_id IS NULL THEN i.pin_issued_at END
FROM unnest($1::uuid[], $2::timestamptz[]) AS l(id, remind_at) LEFT JOIN renewed r ON r.invitation_id = l.id
WHERE i.id = l.id
