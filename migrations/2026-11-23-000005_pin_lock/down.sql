ALTER TABLE invitations DROP COLUMN pin_locked_until;
