-- A message ($1), and who it was to, with the message held. In SQL, since one of the joined tables is locked.
SELECT m.id, i.id AS invitation_id, u.id AS user_id, u.email
FROM messages m
LEFT JOIN enrollments e ON e.id = m.enrollment_id AND m.kind = 'confirmation'
LEFT JOIN invitations i ON i.id = m.invitation_id
LEFT JOIN users u ON u.id = coalesce(e.user_id, i.user_id)
WHERE m.id = $1 FOR NO KEY UPDATE OF m
