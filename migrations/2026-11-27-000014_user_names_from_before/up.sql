-- The names of users from before: a thousand users at a time, the older first, each thousand in a transaction of its own.
-- Older instances go on meanwhile. Stopped in the middle it is done again from the beginning.
DO $$
DECLARE
    last_id uuid := '00000000-0000-0000-0000-000000000000';
    ids     uuid[];
BEGIN
    LOOP
        -- In the order in which all others lock users.
        SELECT array_agg(id ORDER BY id) INTO ids FROM (
            SELECT id FROM users WHERE id > last_id ORDER BY id LIMIT 1000 FOR NO KEY UPDATE
        ) held;
        EXIT WHEN ids IS NULL;
        PERFORM enlist_take_names(ids);
        COMMIT;
        last_id := ids[array_upper(ids, 1)];
    END LOOP;
END
$$;
