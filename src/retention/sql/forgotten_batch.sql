-- The oldest batch from before an id ($1) of which no invitation is open or somebody's latest, held; whoever else forgets one skips it.
-- In SQL, since it is planned anew each time: a plan for any age reads the whole table.
SELECT b.id FROM batches b
WHERE b.id < $1 AND NOT EXISTS (
    SELECT FROM invitations i LEFT JOIN user_activity a ON a.latest_invitation_id = i.id
    WHERE i.batch_id = b.id AND (i.state = 'pending' OR a.user_id IS NOT NULL)
)
ORDER BY b.id LIMIT 1 FOR UPDATE SKIP LOCKED
