-- When a key was last used, to the minute.
ALTER TABLE api_keys ADD COLUMN last_used_at timestamptz;

-- The people who use the frontend.
CREATE TABLE operators (
    id              uuid PRIMARY KEY,
    email           text NOT NULL,
    role            text NOT NULL,
    password_hash   text NOT NULL,
    enabled         boolean NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    last_sign_in_at timestamptz,
    CONSTRAINT operators_role_known CHECK (role IN ('admin', 'manager', 'reader', 'enroller', 'provisioner'))
);
CREATE UNIQUE INDEX operators_email_key ON operators (lower(email COLLATE "und-x-icu"));

-- A token is 256 random bits, so its plain SHA-256 gives nothing to guess.
CREATE TABLE sessions (
    id           uuid PRIMARY KEY,
    operator_id  uuid NOT NULL REFERENCES operators ON DELETE CASCADE,
    token_hash   bytea NOT NULL,
    created_at   timestamptz NOT NULL,
    -- To the minute: the session ends some hours after this,
    last_seen_at timestamptz NOT NULL,
    -- and then, however much it is used.
    expires_at   timestamptz NOT NULL,
    CONSTRAINT sessions_hash_length CHECK (octet_length(token_hash) = 32)
);
CREATE UNIQUE INDEX sessions_token_hash_key ON sessions (token_hash);
CREATE INDEX sessions_by_operator ON sessions (operator_id);
CREATE INDEX sessions_by_end ON sessions (expires_at);
