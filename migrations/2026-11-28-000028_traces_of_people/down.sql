DROP INDEX batch_skips_by_user;
ALTER TABLE idempotency_keys DROP COLUMN about;
