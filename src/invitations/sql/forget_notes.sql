-- Takes the notes out of batches ($1) that nobody else than a user ($2) is in any more.
-- In SQL, since diesel does not join a table with the one that it changes by an EXISTS.
UPDATE batches b SET note = NULL WHERE b.id = ANY ($1) AND NOT EXISTS (
    SELECT FROM invitations i WHERE i.batch_id = b.id AND i.user_id IS NOT NULL AND i.user_id <> $2
)
