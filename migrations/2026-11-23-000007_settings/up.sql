-- What a setting said at one time. A row never changes and is never deleted: invitations name the one that
-- they were sent with.
CREATE TABLE setting_versions (
    id         uuid PRIMARY KEY,
    body       jsonb NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT setting_versions_object CHECK (jsonb_typeof(body) = 'object')
);

CREATE TABLE settings (
    id         uuid PRIMARY KEY,
    kind       text NOT NULL,
    is_default boolean NOT NULL,
    name       text NOT NULL,
    -- The lower one applies first. The default comes after all others and has none.
    priority   integer,
    version_id uuid NOT NULL REFERENCES setting_versions,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT settings_kind_known CHECK (kind IN ('registration', 'reminder', 'confirmation')),
    CONSTRAINT settings_name_length CHECK (char_length(name) BETWEEN 1 AND 200),
    CONSTRAINT settings_default_is_last CHECK (is_default = (priority IS NULL))
);
CREATE UNIQUE INDEX settings_one_default_a_kind ON settings (kind) WHERE is_default;
-- The order of application: NULL, which the default has, sorts last.
CREATE INDEX settings_in_order ON settings (kind, priority, id);

-- To whom a custom setting applies. The indexes are for the other side: of whom, and what goes with a group.
CREATE TABLE setting_groups (
    setting_id uuid NOT NULL REFERENCES settings ON DELETE CASCADE,
    group_id   uuid NOT NULL REFERENCES groups ON DELETE CASCADE,
    PRIMARY KEY (setting_id, group_id)
);
CREATE INDEX setting_groups_by_group ON setting_groups (group_id);
CREATE TABLE setting_users (
    setting_id uuid NOT NULL REFERENCES settings ON DELETE CASCADE,
    user_id    uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (setting_id, user_id)
);
CREATE INDEX setting_users_by_user ON setting_users (user_id);

-- The defaults, which apply to everybody until somebody changes them.
INSERT INTO setting_versions (id, body, created_at) VALUES
    ('019ab000-0000-7000-8000-000000000001',
     '{"method": "pin", "pin_length": 8, "pin_lifetime_days": 1, "invitation_lifetime_days": 7, "allow_pin_request": true,
       "device_ownership": "undefined", "device_limit": null, "mdm_url": null, "qr_payload": {"kind": "enrollment_url"}}', now()),
    ('019ab000-0000-7000-8000-000000000002', '{"enabled": false, "start_at": null, "end_at": null, "every_days": 3}', now()),
    ('019ab000-0000-7000-8000-000000000003', '{"enabled": false}', now());
INSERT INTO settings (id, kind, is_default, name, version_id, created_at, updated_at)
SELECT v.id, k.kind, true, 'Default', v.id, v.created_at, v.created_at
FROM setting_versions v
JOIN (VALUES (1, 'registration'), (2, 'reminder'), (3, 'confirmation')) k(number, kind)
    ON v.id::text LIKE '%' || k.number;

-- The registration setting that an invitation was sent with. NULL: sent before there were any, with the
-- defaults. No foreign key: versions are never deleted, and a check a row would cost a send a tenth of its time.
ALTER TABLE invitations ADD COLUMN registration_id uuid;
