DROP TABLE sessions;
DROP TABLE operators;
ALTER TABLE api_keys DROP COLUMN last_used_at;
