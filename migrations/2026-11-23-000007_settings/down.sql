ALTER TABLE invitations DROP COLUMN registration_id;
DROP TABLE setting_users;
DROP TABLE setting_groups;
DROP TABLE settings;
DROP TABLE setting_versions;
