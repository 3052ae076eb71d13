-- The notes of batches ($1), each with whether others than a user ($2) were written it.
-- In SQL, since whether others were written it is worked out beside each note.
SELECT id, note, EXISTS (
    SELECT FROM invitations i WHERE i.batch_id = b.id AND i.user_id IS DISTINCT FROM $2
) AS is_shared
FROM batches b WHERE id = ANY ($1) AND note IS NOT NULL
