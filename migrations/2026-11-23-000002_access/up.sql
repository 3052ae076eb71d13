-- A key is 256 random bits, so its plain SHA-256 gives nothing to guess.
CREATE TABLE api_keys (
    id         uuid PRIMARY KEY,
    name       text NOT NULL,
    role       text NOT NULL,
    key_hash   bytea NOT NULL,
    created_at timestamptz NOT NULL,
    expires_at timestamptz,
    revoked_at timestamptz,
    CONSTRAINT api_keys_role_known CHECK (role IN ('admin', 'manager', 'reader', 'enroller', 'provisioner')),
    CONSTRAINT api_keys_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT api_keys_hash_length CHECK (octet_length(key_hash) = 32)
);
CREATE UNIQUE INDEX api_keys_key_hash_key ON api_keys (key_hash);

-- What tells whether a secret key is the one that was used under its id before: a MAC of a constant,
-- which says nothing about the key.
CREATE TABLE secret_keys (
    id          text PRIMARY KEY,
    fingerprint text NOT NULL
);

-- The first answer to a request that carried an Idempotency-Key, written in that request's own
-- transaction: there is no answer without its effect, nor an effect without its answer.
CREATE TABLE idempotency_keys (
    caller      text NOT NULL,
    route       text NOT NULL,
    key         text NOT NULL,
    fingerprint text NOT NULL,
    status      smallint NOT NULL,
    location    text,
    body        text NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (caller, route, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);
