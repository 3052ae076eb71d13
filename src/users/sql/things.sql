-- The ids of everything that is about a user ($1), the user among them. In SQL, since it is a UNION of five parts.
SELECT $1 AS id
UNION SELECT id FROM invitations WHERE user_id = $1
UNION SELECT batch_id FROM invitations WHERE user_id = $1
UNION SELECT batch_id FROM batch_skips WHERE user_id = $1
UNION SELECT id FROM devices WHERE user_id = $1
