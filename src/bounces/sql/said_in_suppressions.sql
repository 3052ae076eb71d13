-- The words of servers in the next $2 suppressions behind an id ($1). In SQL, since it is planned anew each time: a plan for any limit
-- reads the whole table.
SELECT id, reason FROM suppressions WHERE id > $1 AND reason IS NOT NULL ORDER BY id LIMIT $2
