-- Who did what. Rows are written in the transaction of what they tell of, and never changed. Ids sort by time.
CREATE TABLE audit_events (
    id           uuid PRIMARY KEY,
    at           timestamptz NOT NULL,
    actor_kind   text NOT NULL,
    -- No foreign keys: what a key or an operator did stays when they are gone.
    actor_id     uuid,
    actor_name   text,
    action       text NOT NULL,
    subject_kind text NOT NULL,
    subject_id   uuid,
    request_id   text,
    address      text,
    -- The user whom the details are about. They are in a table of their own, and go when the user does;
    person_id    uuid,
    -- this says whether they are still the ones that were written. Salted: it gives nothing away.
    details_hash bytea,
    CONSTRAINT audit_events_actor_known CHECK (actor_kind IN ('api_key', 'operator', 'public', 'shell', 'service'))
);
CREATE INDEX audit_events_by_actor ON audit_events (actor_id, id);
CREATE INDEX audit_events_by_subject ON audit_events (subject_id, id);
CREATE INDEX audit_events_by_action ON audit_events (action, id);

-- What was before and after, as JSON, byte by byte as it was hashed.
CREATE TABLE audit_details (
    event_id  uuid PRIMARY KEY,
    person_id uuid REFERENCES users ON DELETE CASCADE,
    salt      bytea NOT NULL,
    before    text,
    after     text
);
CREATE INDEX audit_details_by_person ON audit_details (person_id);

-- The chain: each link is a MAC over the one before and an event. A table beside the events, so that none of
-- these is ever updated, and no request waits for another one's.
CREATE TABLE audit_links (
    position bigint PRIMARY KEY,
    event_id uuid NOT NULL,
    key_id   text NOT NULL,
    mac      bytea NOT NULL
);
CREATE UNIQUE INDEX audit_links_event_key ON audit_links (event_id);

-- Events that are not in the chain yet.
CREATE TABLE audit_unlinked (
    event_id uuid PRIMARY KEY
);

CREATE FUNCTION enlist_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only: no % of %', TG_OP, TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE FUNCTION enlist_audit_details_go_with_the_person() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.person_id IS NULL OR EXISTS (SELECT FROM users WHERE id = OLD.person_id) THEN
        RAISE EXCEPTION 'the audit log is append-only: no DELETE of audit_details' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN OLD;
END
$$;

CREATE TRIGGER audit_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_events
    FOR EACH STATEMENT EXECUTE FUNCTION enlist_audit_is_append_only();
CREATE TRIGGER audit_links_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_links
    FOR EACH STATEMENT EXECUTE FUNCTION enlist_audit_is_append_only();
CREATE TRIGGER audit_details_append_only BEFORE UPDATE OR TRUNCATE ON audit_details
    FOR EACH STATEMENT EXECUTE FUNCTION enlist_audit_is_append_only();
CREATE TRIGGER audit_details_erasure BEFORE DELETE ON audit_details
    FOR EACH ROW EXECUTE FUNCTION enlist_audit_details_go_with_the_person();
