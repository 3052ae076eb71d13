-- How text is folded for searching, in this one place: what is stored, and the words that are looked for.

-- Lower case, in every script and whatever the database's locale is (ICU). Compatibility forms are taken apart (full-width
-- letters, half-width katakana, é), the marks of Latin, Greek and Cyrillic letters go and what nobody sees goes with them,
-- and the rest is put together again (Hangul, the marks of kana). Then ß = ss, ł = l, ø = o, and the second forms that a
-- letter has in Greek (ς) and Turkish (ı). What is typed for an apostrophe is one.
CREATE FUNCTION enlist_plain_letters(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN lower(translate(public.unaccent('public.unaccent'::regdictionary, normalize(regexp_replace(
        normalize(translate(lower(value COLLATE "und-x-icu"), '´`ʻʼʽ', ''''''''''''), NFKD),
        '[\u0300-\u036F\u00AD\u200B-\u200F\u2060\uFEFF]', '', 'g'), NFC)), 'ςı', 'σi') COLLATE "und-x-icu");

-- Many blanks are like one, and one between two characters of Han, kana or Hangul is like none: 山田 太郎 = 山田太郎.
-- It is replaced and not made beside the old one, so that groups and older instances fold alike.
CREATE OR REPLACE FUNCTION enlist_fold(value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE
        WHEN octet_length(value) = char_length(value) THEN
            regexp_replace(translate(lower(value COLLATE "und-x-icu"), '`', ''''), '[ \t]+', ' ', 'g')
        WHEN value !~ '[\u1100-\u11FF\u2E80-\uFFDC\U00020000-\U0003FFFF]' THEN regexp_replace(enlist_plain_letters(value), '[ \t]+', ' ', 'g')
        ELSE regexp_replace(regexp_replace(enlist_plain_letters(value), '[ \t]+', ' ', 'g'),
            '(?<=[\u1100-\u11FF\u2E80-\u2FDF\u3005-\u3007\u3021-\u31FF\u3400-\u9FFF\uA960-\uA97F\uAC00-\uD7FF\uF900-\uFAFF\U00020000-\U0003FFFF]) '
            '(?=[\u1100-\u11FF\u2E80-\u2FDF\u3005-\u3007\u3021-\u31FF\u3400-\u9FFF\uA960-\uA97F\uAC00-\uD7FF\uF900-\uFAFF\U00020000-\U0003FFFF])',
            '', 'g')
    END;

-- As it was, but that a sign of which folding leaves a blank is nothing, too.
CREATE OR REPLACE FUNCTION enlist_part(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN '%' || regexp_replace(nullif(btrim(enlist_fold(value)), ''), '([\\%_])', '\\\1', 'g') || '%';

-- Letters as they are written where a keyboard has none of them: Mueller, Oest, Aasen. Any other text stays as it is.
CREATE FUNCTION enlist_spell_out(value text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN value ~ '[äöüøåÄÖÜØÅ\u0308\u030A]' THEN
        replace(replace(replace(replace(replace(lower(normalize(value, NFKC) COLLATE "und-x-icu"),
        'ä', 'ae'), 'ö', 'oe'), 'ü', 'ue'), 'ø', 'oe'), 'å', 'aa')
    ELSE value END;

-- The second pattern for "has this as a part", where there is another spelling: NULL, which matches nothing, else.
CREATE FUNCTION enlist_part_spelled_out(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN nullif(enlist_part(enlist_spell_out(value)), enlist_part(value));

-- What is searched of a user. One line a field: a word holds no line break, so it cannot match across two fields. Names
-- of Han, kana and Hangul are one more, since they are written without a blank. All again, spelled out, where that differs.
CREATE FUNCTION enlist_search_text(username text, email text, display_name text, first_name text, last_name text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    fields text := concat_ws(E'\n', username, email, display_name, first_name, last_name);
    folded text := enlist_fold(fields);
    spelled_out text := enlist_fold(nullif(enlist_spell_out(fields), fields));
    together text := enlist_fold(right(last_name, 1) || ' ' || left(first_name, 1));
BEGIN
    RETURN concat_ws(E'\n', folded,
        CASE WHEN position(' ' IN together) = 0 THEN enlist_fold(last_name || first_name) END,
        nullif(spelled_out, folded));
END
$$;

-- Of groups there are few.
UPDATE groups SET name = name;

-- The column was generated, and another expression would rewrite the table while nobody may read it. It becomes one that a
-- trigger fills: that takes a moment, and an older instance, which never names the column, goes on writing. What is
-- stored stays until the next migration has gone over it.
ALTER TABLE users ALTER COLUMN search_text DROP EXPRESSION;

CREATE FUNCTION enlist_fill_search_text() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.search_text := enlist_search_text(NEW.username, NEW.email, NEW.display_name, NEW.first_name, NEW.last_name);
    RETURN NEW;
END
$$;
CREATE TRIGGER users_fill_search_text BEFORE INSERT OR UPDATE OF username, email, display_name, first_name, last_name ON users
    FOR EACH ROW EXECUTE FUNCTION enlist_fill_search_text();
