-- When to look whether a reminder is due: each pending invitation once a day, at nine in its user's zone. It does not
-- depend on what the settings say, so that they can change without anything being written here.
ALTER TABLE invitations ADD COLUMN remind_at timestamptz NOT NULL DEFAULT 'epoch';
CREATE INDEX invitations_pending_by_reminder ON invitations (remind_at) WHERE state = 'pending';

-- The day that a reminder is for, in its user's zone.
ALTER TABLE messages ADD COLUMN reminder_on date;
ALTER TABLE messages ADD CONSTRAINT messages_reminder_has_day CHECK ((kind = 'reminder') = (reminder_on IS NOT NULL));
-- Exactly once, with any number of instances: whatever else fails, a day has one reminder.
CREATE UNIQUE INDEX messages_one_reminder_a_day ON messages (invitation_id, reminder_on) WHERE kind = 'reminder';
