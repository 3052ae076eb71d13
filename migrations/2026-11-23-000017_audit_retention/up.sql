-- Where the chain begins once old events were forgotten. The seal is a MAC: whoever cuts the beginning off without the
-- key cannot make one.
CREATE TABLE audit_beginning (
    position bigint PRIMARY KEY,
    mac      bytea NOT NULL,
    key_id   text NOT NULL,
    seal     bytea NOT NULL
);

-- Only forgetting says that it is forgetting.
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
