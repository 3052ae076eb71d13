CREATE OR REPLACE FUNCTION enlist_plain_letters(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN lower(translate(public.unaccent('public.unaccent'::regdictionary, normalize(regexp_replace(
        normalize(translate(lower(value COLLATE "und-x-icu"), '´`ʻʼʽ', ''''''''''''), NFKD),
        '[\u0300-\u036F\u00AD\u200B-\u200F\u2060\uFEFF]', '', 'g'), NFC)), 'ςı', 'σi') COLLATE "und-x-icu");

CREATE OR REPLACE FUNCTION enlist_search_text(username text, email text, display_name text, first_name text, last_name text) RETURNS text
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
