-- The names that users are found by: a username and an address are both names, and one name is one user's. So nobody's
-- username is another user's address.
CREATE TABLE user_names (
    key         text COLLATE "C" PRIMARY KEY,
    -- Without a foreign key, which would check every row by itself: the triggers below keep the two tables in step.
    user_id     uuid NOT NULL,
    is_username boolean NOT NULL,
    is_email    boolean NOT NULL
);

-- What is compared of a name. The service hands over names that are normal already (NFC, domains in letters).
CREATE FUNCTION enlist_name_key(name text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN lower(name COLLATE "und-x-icu");

ALTER TABLE users
    -- Whether an older user has one of the names. Then the user is not found by it.
    ADD COLUMN name_clash boolean NOT NULL DEFAULT false,
    -- The keys of names that older versions stored as they were given (one@xn--bcher-kva.example), where they are others.
    ADD COLUMN username_key text,
    ADD COLUMN email_key text;
CREATE INDEX users_name_clash ON users (id) WHERE name_clash;

-- The names of one user.
CREATE FUNCTION enlist_names_of(username text, email text, username_key text, email_key text)
    RETURNS TABLE (key text, is_username boolean, is_email boolean) LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT u, true, u IS NOT DISTINCT FROM e
    FROM (SELECT coalesce(username_key, enlist_name_key(username)), coalesce(email_key, enlist_name_key(email))) keys (u, e)
    UNION ALL
    SELECT e, false, true
    FROM (SELECT coalesce(username_key, enlist_name_key(username)), coalesce(email_key, enlist_name_key(email))) keys (u, e)
    WHERE e IS NOT NULL AND e <> u
$$;

-- Says of each user whether another has one of the names.
CREATE FUNCTION enlist_mark_clashes(who uuid[]) RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    UPDATE users u SET name_clash = NOT u.name_clash
    WHERE u.id = ANY (who) AND u.name_clash <> EXISTS (
        SELECT FROM user_names n WHERE n.user_id <> u.id
        AND n.key COLLATE "C" IN (coalesce(u.username_key, enlist_name_key(u.username)), coalesce(u.email_key, enlist_name_key(u.email)))
    );
END
$$;

-- Gives users their names, as far as nobody else has them: of two the older one. A plan is made each time, since one from
-- when the table was small would read all of it for ever.
CREATE FUNCTION enlist_take_names(who uuid[]) RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
BEGIN
    -- In one order, so that two who take the same names do not wait for each other.
    INSERT INTO user_names (key, user_id, is_username, is_email)
    SELECT n.key, u.id, n.is_username, n.is_email
    FROM users u, enlist_names_of(u.username, u.email, u.username_key, u.email_key) n
    WHERE u.id = ANY (who) ORDER BY n.key COLLATE "C", u.id
    ON CONFLICT DO NOTHING;
    PERFORM enlist_mark_clashes(who);
END
$$;

-- Gives names that became free to users who have missed them.
CREATE FUNCTION enlist_hand_on_names(freed text[]) RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_custom_plan AS $$
DECLARE
    who uuid[];
BEGIN
    SELECT array_agg(id) INTO who FROM users WHERE name_clash AND (
        coalesce(username_key, enlist_name_key(username)) = ANY (freed) OR coalesce(email_key, enlist_name_key(email)) = ANY (freed)
    );
    IF who IS NOT NULL THEN
        PERFORM enlist_take_names(who);
    END IF;
END
$$;

-- As enlist_take_names, from the rows themselves: whoever is new waits for this.
CREATE FUNCTION enlist_names_of_added() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    missing bigint;
BEGIN
    WITH wanted AS (
        SELECT n.key, a.id, n.is_username, n.is_email
        FROM added a, enlist_names_of(a.username, a.email, a.username_key, a.email_key) n
    ), taken AS (
        INSERT INTO user_names (key, user_id, is_username, is_email)
        SELECT key, id, is_username, is_email FROM wanted ORDER BY key COLLATE "C", id
        ON CONFLICT DO NOTHING RETURNING 1
    )
    SELECT (SELECT count(*) FROM wanted) - (SELECT count(*) FROM taken) INTO missing;
    IF missing > 0 THEN
        PERFORM enlist_mark_clashes(ARRAY(SELECT id FROM added));
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER users_take_names AFTER INSERT ON users
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION enlist_names_of_added();

CREATE FUNCTION enlist_names_of_changed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    who   uuid[];
    freed text[];
BEGIN
    SELECT array_agg(id) INTO who FROM before b JOIN changed c USING (id)
    WHERE (b.username, b.email, b.username_key, b.email_key) IS DISTINCT FROM (c.username, c.email, c.username_key, c.email_key);
    IF who IS NULL THEN
        RETURN NULL;
    END IF;
    WITH gone AS (
        DELETE FROM user_names n USING before b WHERE b.id = ANY (who) AND n.user_id = b.id
        AND n.key COLLATE "C" IN (coalesce(b.username_key, enlist_name_key(b.username)), coalesce(b.email_key, enlist_name_key(b.email)))
        RETURNING n.key
    )
    SELECT array_agg(key) INTO freed FROM gone;
    PERFORM enlist_take_names(who);
    PERFORM enlist_hand_on_names(freed);
    RETURN NULL;
END
$$;
CREATE TRIGGER users_change_names AFTER UPDATE ON users
    REFERENCING OLD TABLE AS before NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION enlist_names_of_changed();

CREATE FUNCTION enlist_names_of_removed() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    freed text[];
BEGIN
    WITH gone AS (
        DELETE FROM user_names n USING removed r WHERE n.user_id = r.id
        AND n.key COLLATE "C" IN (coalesce(r.username_key, enlist_name_key(r.username)), coalesce(r.email_key, enlist_name_key(r.email)))
        RETURNING n.key
    )
    SELECT array_agg(key) INTO freed FROM gone;
    PERFORM enlist_hand_on_names(freed);
    RETURN NULL;
END
$$;
CREATE TRIGGER users_give_up_names AFTER DELETE ON users
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION enlist_names_of_removed();

-- A key goes with the name that it is of.
CREATE FUNCTION enlist_forget_name_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.username <> OLD.username THEN
        NEW.username_key := NULL;
    END IF;
    IF NEW.email IS DISTINCT FROM OLD.email THEN
        NEW.email_key := NULL;
    END IF;
    RETURN NEW;
END
$$;
CREATE TRIGGER users_forget_name_keys BEFORE UPDATE OF username, email ON users
    FOR EACH ROW WHEN (OLD.username_key IS NOT NULL OR OLD.email_key IS NOT NULL)
    EXECUTE FUNCTION enlist_forget_name_keys();
