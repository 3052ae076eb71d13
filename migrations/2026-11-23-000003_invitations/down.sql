DROP TRIGGER users_add_activity ON users;
DROP FUNCTION enlist_add_user_activity();
DROP TABLE user_activity;
DROP TABLE messages;
DROP TABLE invitations;
DROP TABLE batch_skips;
DROP TABLE batches;
