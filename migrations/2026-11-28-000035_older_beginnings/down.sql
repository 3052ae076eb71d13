DO $do$ BEGIN EXECUTE format($create$
CREATE OR REPLACE FUNCTION enlist_audit_forget(last bigint, last_mac bytea, before timestamptz, sealed_with text, given_seal bytea)
RETURNS void LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, %1$I, pg_temp AS $$
DECLARE
    kept integer := (SELECT max(days) FROM audit_retention);
BEGIN
    -- An hour for clocks that differ.
    -- What is forgotten already may be sealed anew.
    IF NOT EXISTS (SELECT FROM audit_beginning b WHERE b.position = last AND b.until = before)
        AND (kept IS NULL OR before > now() - make_interval(days => kept, hours => -1)) THEN
        RAISE EXCEPTION 'audit events of that time are to be kept' USING ERRCODE = 'insufficient_privilege',
            HINT = 'Run enlist migrate as the owner, with the same ENLIST_KEEP_AUDIT.';
    END IF;
    IF EXISTS (SELECT FROM audit_links l JOIN audit_events e ON e.id = l.event_id WHERE l.position <= last AND e.at >= before) THEN
        RAISE EXCEPTION 'audit events up to that link are younger' USING ERRCODE = 'insufficient_privilege';
    END IF;
    PERFORM set_config('enlist.forgets', 'audit', true);
    DELETE FROM audit_details d USING audit_links l WHERE l.position <= last AND d.event_id = l.event_id;
    DELETE FROM audit_events e USING audit_links l WHERE l.position <= last AND e.id = l.event_id;
    DELETE FROM audit_links WHERE position <= last;
    PERFORM set_config('enlist.forgets', '', true);
    DELETE FROM audit_beginning;
    INSERT INTO audit_beginning (position, mac, key_id, seal, until) VALUES (last, last_mac, sealed_with, given_seal, before);
END
$$;
$create$, current_schema()); END $do$;
