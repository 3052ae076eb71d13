-- Lifts suppressions ($1) in the order of their ids, so that two who lift the same do not wait for each other for ever.
-- In SQL, since rows are locked in an order before they are deleted.
WITH held AS (SELECT id FROM suppressions WHERE id = ANY ($1) ORDER BY id FOR UPDATE)
DELETE FROM suppressions s USING held WHERE s.id = held.id
