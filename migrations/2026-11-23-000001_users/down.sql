DROP TABLE group_members;
DROP TABLE groups;
DROP TABLE users;
DROP FUNCTION enlist_part(text);
DROP FUNCTION enlist_fold(text);
-- The extensions stay: another schema of this database may use them.
