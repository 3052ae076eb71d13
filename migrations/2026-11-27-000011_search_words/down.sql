DROP TRIGGER users_fill_search_text ON users;
DROP FUNCTION enlist_fill_search_text;
ALTER TABLE users DROP COLUMN search_text;
DROP FUNCTION enlist_search_text;
DROP FUNCTION enlist_part_spelled_out;
DROP FUNCTION enlist_spell_out;

CREATE OR REPLACE FUNCTION enlist_fold(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN lower(public.unaccent('public.unaccent'::regdictionary, lower(value COLLATE "und-x-icu")));
DROP FUNCTION enlist_plain_letters;
CREATE OR REPLACE FUNCTION enlist_part(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN '%' || regexp_replace(nullif(enlist_fold(value), ''), '([\\%_])', '\\\1', 'g') || '%';
UPDATE groups SET name = name;

ALTER TABLE users ADD COLUMN search_text text NOT NULL GENERATED ALWAYS AS (
    enlist_fold(username || E'\n' || coalesce(email, '') || E'\n' || display_name || E'\n' || first_name || E'\n' || last_name)
) STORED;
CREATE INDEX users_search ON users USING gin (search_text public.gin_trgm_ops);
