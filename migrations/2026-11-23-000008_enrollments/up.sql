-- Devices that are, or were, enrolled. A retired one stays as a row; whoever has it next is another row.
CREATE TABLE devices (
    id                  uuid PRIMARY KEY,
    -- A device that is held has a user; a retired one may outlive its user.
    user_id             uuid REFERENCES users ON DELETE SET NULL,
    serial_number       text,
    device_id           text,
    platform            text NOT NULL,
    model               text,
    os_version          text,
    supervised          boolean NOT NULL,
    user_enrollment     boolean NOT NULL,
    ownership_requested text NOT NULL,
    ownership           text NOT NULL,
    ownership_reason    text NOT NULL,
    enrolled_at         timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    retired_at          timestamptz,
    -- No index: looking through 100,000 devices for a part of a serial number takes some 50 ms.
    search_text         text NOT NULL GENERATED ALWAYS AS (
        lower((coalesce(serial_number, '') || E'\n' || coalesce(device_id, '') || E'\n' || coalesce(model, '')) COLLATE "und-x-icu")
    ) STORED,
    CONSTRAINT devices_platform_known CHECK (platform IN ('ios', 'ipados', 'macos', 'android', 'windows', 'other')),
    CONSTRAINT devices_ownership_known CHECK (ownership IN ('undefined', 'user_owned', 'company_owned')),
    CONSTRAINT devices_identified CHECK (serial_number IS NOT NULL OR device_id IS NOT NULL),
    CONSTRAINT devices_held_by_somebody CHECK (user_id IS NOT NULL OR retired_at IS NOT NULL)
);
-- A serial number is read off a label and typed: case does not matter. A device id is opaque: it does.
CREATE UNIQUE INDEX devices_serial_number_key ON devices (lower(serial_number)) WHERE retired_at IS NULL;
CREATE UNIQUE INDEX devices_device_id_key ON devices (device_id) WHERE retired_at IS NULL;
CREATE INDEX devices_by_user ON devices (user_id, id);

CREATE TABLE enrollments (
    id                  uuid PRIMARY KEY,
    user_id             uuid REFERENCES users ON DELETE SET NULL,
    -- NULL: with the password alone.
    invitation_id       uuid REFERENCES invitations ON DELETE SET NULL,
    device_id           uuid NOT NULL REFERENCES devices,
    method              text NOT NULL,
    ownership_requested text NOT NULL,
    ownership           text NOT NULL,
    ownership_reason    text NOT NULL,
    confirmation_email  boolean NOT NULL,
    enrolled_at         timestamptz NOT NULL,
    CONSTRAINT enrollments_method_known CHECK (method IN ('pin', 'password', 'pin_and_password', 'qr'))
);
-- Exactly once: whatever else fails, an invitation enrolls one device.
CREATE UNIQUE INDEX enrollments_invitation_key ON enrollments (invitation_id) WHERE invitation_id IS NOT NULL;
CREATE INDEX enrollments_by_device ON enrollments (device_id, id);
CREATE INDEX enrollments_by_user ON enrollments (user_id);

-- Beside what else changes about a user: lists show it without counting, and the limit is decided by
-- an update of this very row.
ALTER TABLE user_activity ADD COLUMN device_count integer NOT NULL DEFAULT 0;
ALTER TABLE user_activity ADD CONSTRAINT user_activity_device_count CHECK (device_count >= 0);

-- Wrong PINs in the invitation's life, across its counters.
ALTER TABLE invitations ADD COLUMN pin_tries integer NOT NULL DEFAULT 0;

-- Wrong tries that belong to no invitation: with a user's password (the subject is the user's id), and
-- for names behind which there is nothing to guess (a MAC of the name), so that both lock alike.
CREATE TABLE guesses (
    subject      uuid PRIMARY KEY,
    tries        integer NOT NULL,
    locked_until timestamptz,
    -- Whether the last try was looked at, or refused because the subject was locked.
    looked_at    boolean NOT NULL,
    updated_at   timestamptz NOT NULL
);
CREATE INDEX guesses_by_age ON guesses (updated_at);

-- PINs that users asked for again and were mailed.
CREATE TABLE pin_requests (
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    requested_at timestamptz NOT NULL
);
CREATE INDEX pin_requests_by_user ON pin_requests (user_id, requested_at);
CREATE INDEX pin_requests_by_age ON pin_requests (requested_at);

-- A confirmation is about an enrollment, which may have no invitation; and what a user asked for again
-- is no part of the batch that once was sent.
ALTER TABLE messages ALTER COLUMN invitation_id DROP NOT NULL;
ALTER TABLE messages ALTER COLUMN batch_id DROP NOT NULL;
ALTER TABLE messages ADD COLUMN enrollment_id uuid REFERENCES enrollments ON DELETE CASCADE;
ALTER TABLE messages ADD CONSTRAINT messages_about CHECK (
    CASE WHEN kind = 'confirmation' THEN enrollment_id IS NOT NULL AND batch_id IS NULL ELSE invitation_id IS NOT NULL END
);
-- One confirmation an enrollment.
CREATE UNIQUE INDEX messages_one_confirmation ON messages (enrollment_id) WHERE kind = 'confirmation';
