DELETE FROM messages WHERE kind = 'reminder';
ALTER TABLE messages DROP COLUMN reminder_on;
ALTER TABLE invitations DROP COLUMN remind_at;
