DROP FUNCTION enlist_audit_erase_operator(uuid);
DROP FUNCTION enlist_audit_forget(bigint, bytea, timestamptz, text, bytea);
DROP TABLE audit_heads;
DROP TABLE audit_retention;
ALTER TABLE audit_beginning DROP COLUMN until;
ALTER TABLE audit_unlinked DROP COLUMN number;
ALTER TABLE audit_events DROP CONSTRAINT audit_events_readable;
ALTER TABLE audit_links DROP CONSTRAINT audit_links_position;
ALTER TABLE audit_links DROP COLUMN hash, DROP COLUMN found, DROP COLUMN linked_at;
ALTER TABLE audit_events DROP COLUMN who_hash, DROP COLUMN who_salt, DROP COLUMN mac, DROP COLUMN key_id;

CREATE OR REPLACE FUNCTION enlist_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('enlist.forgets', true) = 'audit' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'the audit log is append-only: no % of %', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE OR REPLACE FUNCTION enlist_audit_details_go_with_the_person() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('enlist.forgets', true) = 'audit' THEN
        RETURN OLD;
    END IF;
    IF OLD.person_id IS NULL OR EXISTS (SELECT FROM users WHERE id = OLD.person_id) THEN
        RAISE EXCEPTION 'the audit log is append-only: no DELETE of audit_details' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END
$$;
