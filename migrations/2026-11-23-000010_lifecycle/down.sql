DROP TABLE mail_allowance;
ALTER TABLE messages DROP COLUMN canceled;
DROP INDEX invitations_pending_by_end;
ALTER TABLE invitations DROP COLUMN resent_at;
