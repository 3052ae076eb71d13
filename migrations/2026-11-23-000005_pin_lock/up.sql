-- Until when a PIN is refused after too many wrong ones. NULL: it was never locked.
ALTER TABLE invitations ADD COLUMN pin_locked_until timestamptz;
