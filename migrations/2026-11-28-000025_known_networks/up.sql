-- From where operators signed in. The network stands here as a MAC: a copy of the database does not tell where people work.
CREATE TABLE known_networks (
    operator_id uuid NOT NULL REFERENCES operators ON DELETE CASCADE,
    network     uuid NOT NULL,
    -- When the last right sign-in came from there.
    seen_at     timestamptz NOT NULL,
    PRIMARY KEY (operator_id, network)
);
CREATE INDEX known_networks_by_age ON known_networks (seen_at);

-- When it was last written down that a key was tried after its end.
ALTER TABLE api_keys ADD COLUMN used_after_end_at timestamptz;
