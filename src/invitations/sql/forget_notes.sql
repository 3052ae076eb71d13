-- Takes the notes out of batches ($1) that nobody else than a user ($2) is in any more.
-- In SQL, since it looks from the table that it changes into another one.
UPDATE batches b SET note = NULL WHERE b.id = ANY ($1) AND NOT EXISTS (
    SELECT FROM invitations i WHERE i.batch_id = b.id AND i.user_id IS NOT NULL AND i.user_id <> $2
)
