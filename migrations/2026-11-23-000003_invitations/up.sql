CREATE TABLE batches (
    id              uuid PRIMARY KEY,
    created_at      timestamptz NOT NULL,
    -- Who sent it, as `api_key:<id>`: the key may be gone when somebody asks.
    created_by      text NOT NULL,
    note            text,
    recipient_count integer NOT NULL,
    skipped_count   integer NOT NULL,
    canceled_at     timestamptz,
    CONSTRAINT batches_note_length CHECK (char_length(note) BETWEEN 1 AND 1000)
);

CREATE TABLE batch_skips (
    batch_id uuid NOT NULL REFERENCES batches ON DELETE CASCADE,
    -- No foreign key: that somebody was skipped stays true when the user is gone.
    user_id  uuid NOT NULL,
    reason   text NOT NULL,
    PRIMARY KEY (batch_id, user_id)
);

CREATE TABLE invitations (
    id                uuid PRIMARY KEY,
    batch_id          uuid NOT NULL REFERENCES batches,
    -- Rows are kept when a user is deleted; they only lose the person.
    user_id           uuid REFERENCES users ON DELETE SET NULL,
    method            text NOT NULL,
    state             text NOT NULL,
    device_ownership  text NOT NULL,
    locale            text NOT NULL,
    -- What derives the PIN and the QR token again: never the secrets themselves.
    key_id            text NOT NULL,
    counter           integer NOT NULL,
    pin_length        smallint NOT NULL,
    pin_lifetime_days smallint NOT NULL,
    -- When the PIN's life began: first handed to a mail server, or issued without mail. NULL: not yet.
    pin_issued_at     timestamptz,
    created_at        timestamptz NOT NULL,
    expires_at        timestamptz NOT NULL,
    ended_at          timestamptz,
    resend_count      integer NOT NULL,
    last_sent_at      timestamptz,
    CONSTRAINT invitations_method_known CHECK (method IN ('pin', 'password', 'pin_and_password', 'qr')),
    CONSTRAINT invitations_state_known CHECK (state IN ('pending', 'completed', 'expired', 'revoked', 'superseded')),
    CONSTRAINT invitations_ownership_known CHECK (device_ownership IN ('undefined', 'user_owned', 'company_owned')),
    CONSTRAINT invitations_pin_length CHECK (pin_length BETWEEN 4 AND 12),
    CONSTRAINT invitations_pin_lifetime CHECK (pin_lifetime_days BETWEEN 1 AND 30),
    CONSTRAINT invitations_counter CHECK (counter >= 0),
    CONSTRAINT invitations_ended CHECK ((state = 'pending') = (ended_at IS NULL))
);
CREATE UNIQUE INDEX invitations_one_pending_a_user ON invitations (user_id) WHERE state = 'pending';
CREATE INDEX invitations_by_user ON invitations (user_id, id);
CREATE INDEX invitations_by_batch ON invitations (batch_id, id);

-- The outbox. Rows carry ids, never secrets or addresses: both are looked up when the mail is made.
CREATE TABLE messages (
    id              uuid PRIMARY KEY,
    kind            text NOT NULL,
    invitation_id   uuid NOT NULL REFERENCES invitations ON DELETE CASCADE,
    -- Denormalized from the invitation so that a batch is counted without a join.
    batch_id        uuid NOT NULL,
    state           text NOT NULL,
    attempts        integer NOT NULL,
    -- queued, deferred: when to try (again). sending: when the lease of whoever sends it ends.
    due_at          timestamptz NOT NULL,
    created_at      timestamptz NOT NULL,
    last_attempt_at timestamptz,
    smtp_code       smallint,
    enhanced_status text,
    reason          text,
    CONSTRAINT messages_kind_known CHECK (kind IN ('invitation', 'reminder', 'confirmation')),
    CONSTRAINT messages_state_known CHECK (state IN ('queued', 'sending', 'accepted', 'deferred', 'bounced', 'failed', 'suppressed'))
);
-- Only what is still to be sent: the queue costs the same however much was sent before.
CREATE INDEX messages_due ON messages (due_at) WHERE state IN ('queued', 'sending', 'deferred');
CREATE INDEX messages_by_invitation ON messages (invitation_id, id);
CREATE INDEX messages_by_batch ON messages (batch_id);

-- What changes about a user with every invitation, in a narrow row of its own: 10,000 updates of
-- users and all its indexes take 400 ms, of this table 70 ms.
CREATE TABLE user_activity (
    user_id              uuid PRIMARY KEY REFERENCES users ON DELETE CASCADE,
    -- 1970 stands for never: a keyset comparison knows no NULL.
    last_invited_at      timestamptz NOT NULL DEFAULT 'epoch',
    latest_invitation_id uuid REFERENCES invitations ON DELETE SET NULL
);
CREATE INDEX user_activity_by_last_invited_at ON user_activity (last_invited_at, user_id);
CREATE INDEX user_activity_by_latest_invitation ON user_activity (latest_invitation_id);

-- Every user has the row, whoever inserts the user.
INSERT INTO user_activity (user_id) SELECT id FROM users;
CREATE FUNCTION enlist_add_user_activity() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO user_activity (user_id) SELECT id FROM added;
    RETURN NULL;
END $$;
CREATE TRIGGER users_add_activity AFTER INSERT ON users
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION enlist_add_user_activity();
