DROP INDEX groups_by_name;
ALTER TABLE groups DROP COLUMN search_text;
