ALTER TABLE messages DROP COLUMN refusals;
