DROP TABLE idempotency_keys;
DROP TABLE secret_keys;
DROP TABLE api_keys;
