-- The user whom an answer that is kept for an Idempotency-Key tells of: it is forgotten with the user. NULL: nobody by name, or
-- written by an older instance, and gone a day later in any case.
ALTER TABLE idempotency_keys ADD COLUMN about uuid;
CREATE INDEX idempotency_keys_by_person ON idempotency_keys (about) WHERE about IS NOT NULL;
-- What is held of one person: the batches that passed the person over.
CREATE INDEX batch_skips_by_user ON batch_skips (user_id, batch_id);
