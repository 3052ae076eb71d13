-- Notes at each user of a batch ($1) that its invitation is the newest one. In SQL, since it is an UPDATE … FROM.
UPDATE user_activity a SET last_invited_at = i.created_at, latest_invitation_id = i.id
FROM invitations i WHERE i.batch_id = $1 AND a.user_id = i.user_id
