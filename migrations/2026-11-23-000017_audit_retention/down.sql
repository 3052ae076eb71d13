CREATE OR REPLACE FUNCTION enlist_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: no % of %', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE OR REPLACE FUNCTION enlist_audit_details_go_with_the_person() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.person_id IS NULL OR EXISTS (SELECT FROM users WHERE id = OLD.person_id) THEN
        RAISE EXCEPTION 'the audit log is append-only: no DELETE of audit_details' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END
$$;

DROP TABLE audit_beginning;
