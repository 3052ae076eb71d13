-- The same folding, faster: most letters of Latin need no taking apart, since unaccent() knows them as they are, and two
-- characters are looked at together only where the first one is of a script that is written without blanks.
CREATE OR REPLACE FUNCTION enlist_plain_letters(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CASE
        WHEN value !~ '[^\u0001-\u007F\u00B4\u00BB-\u013E\u0141-\u017F]' THEN
            translate(public.unaccent('public.unaccent'::regdictionary, lower(value COLLATE "und-x-icu")), '´`ı', '''''i')
        ELSE lower(translate(public.unaccent('public.unaccent'::regdictionary, normalize(regexp_replace(
            normalize(translate(lower(value COLLATE "und-x-icu"), '´`ʻʼʽ', ''''''''''''), NFKD),
            '[\u0300-\u036F\u00AD\u200B-\u200F\u2060\uFEFF]', '', 'g'), NFC)), 'ςı', 'σi') COLLATE "und-x-icu")
        END;

CREATE OR REPLACE FUNCTION enlist_search_text(username text, email text, display_name text, first_name text, last_name text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    fields text := concat_ws(E'\n', username, email, display_name, first_name, last_name);
    folded text := enlist_fold(fields);
    spelled_out text;
    together text;
BEGIN
    IF octet_length(fields) > char_length(fields) THEN
        spelled_out := enlist_fold(nullif(enlist_spell_out(fields), fields));
        -- U+1100 and above: Hangul, Han and kana are there.
        IF ascii(right(last_name, 1)) >= 4352
            AND position(' ' IN enlist_fold(right(last_name, 1) || ' ' || left(first_name, 1))) = 0 THEN
            together := enlist_fold(last_name || first_name);
        END IF;
    END IF;
    RETURN concat_ws(E'\n', folded, together, nullif(spelled_out, folded));
END
$$;
