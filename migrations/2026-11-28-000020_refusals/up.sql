-- How often a mail server refused a message for more than its own pace: the wait before the next try grows with that, and
-- no longer with each try. An older instance beside leaves it as it is, and its waits grow as before.
ALTER TABLE messages ADD COLUMN refusals smallint NOT NULL DEFAULT 0;
