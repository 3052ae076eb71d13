-- Who was there before the last migration: a thousand at a time, each thousand in a transaction of its own, so that nobody waits
-- long for a row, and only those whose text is another. Stopped in the middle it is done again from the beginning.
DO $$
DECLARE
    last_id uuid := '00000000-0000-0000-0000-000000000000';
    ids     uuid[];
BEGIN
    LOOP
        -- In the order in which all others lock users.
        SELECT array_agg(id) INTO ids FROM (
            SELECT id FROM users WHERE id > last_id ORDER BY id LIMIT 1000 FOR NO KEY UPDATE
        ) held;
        EXIT WHEN ids IS NULL;
        UPDATE users SET username = username
        WHERE id = ANY (ids) AND search_text <> enlist_search_text(username, email, display_name, first_name, last_name);
        COMMIT;
        last_id := ids[array_upper(ids, 1)];
    END LOOP;
END
$$;
