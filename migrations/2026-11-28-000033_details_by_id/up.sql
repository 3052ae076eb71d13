-- Whoever asks what is held of them is told of each event that names them, among others, too.
CREATE FUNCTION enlist_ids_in(before text, after text) RETURNS text[] LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$ SELECT coalesce(array_agg(DISTINCT found[1]), '{}')
        FROM pg_catalog.regexp_matches(coalesce(before, '') || ' ' || coalesce(after, ''),
            '[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}', 'g') found $$;
CREATE INDEX audit_details_by_id ON audit_details USING gin (enlist_ids_in(before, after));
