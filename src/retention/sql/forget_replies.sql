-- Wipes the words of servers in the next $2 messages from before an id ($1), and notes how far it came; the codes stay. Gives how many
-- messages were seen. No message is on its way for that long, so nothing is passed over for good.
-- In SQL, since one statement reads and changes two tables.
WITH from_here AS (SELECT message_till FROM forgotten FOR UPDATE), seen AS (
    SELECT m.id FROM messages m, from_here WHERE m.id > from_here.message_till AND m.id < $1
    ORDER BY m.id LIMIT $2
), wiped AS (
    UPDATE messages m SET reason = NULL FROM seen
    WHERE m.id = seen.id AND m.reason IS NOT NULL AND m.state IN ('accepted', 'bounced', 'failed', 'suppressed')
), noted AS (
    UPDATE forgotten SET message_till = (SELECT id FROM seen ORDER BY id DESC LIMIT 1)
    WHERE EXISTS (SELECT FROM seen)
)
SELECT count(*) AS count FROM seen
