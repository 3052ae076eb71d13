-- The two roles of Enlist. A superuser, or whoever owns the database and may make roles, runs this in Enlist's database; a
-- second time does nothing more.
-- Then both get passwords: psql asks for them, and no log shows them.
--     \password {owner}
--     \password {service}
-- ENLIST_MIGRATE_URL is the URL with {owner}, DATABASE_URL the one with {service}.
-- `enlist migrate` and each start grant {service} what it needs of the tables.
DO $$
DECLARE
    owner   text := '{owner}';
    service text := '{service}';
    home    text := coalesce(current_schema(), 'public');
    before  text := (SELECT relowner::regrole::text FROM pg_class WHERE oid = to_regclass('__diesel_schema_migrations'));
BEGIN
    IF before <> quote_ident(owner) THEN
        RAISE EXCEPTION 'the tables here belong to %', before USING HINT = 'Give its name to enlist database roles --owner.';
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = owner) THEN
        EXECUTE format('CREATE ROLE %I LOGIN', owner);
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = service) THEN
        EXECUTE format('CREATE ROLE %I LOGIN', service);
    END IF;
    -- The owner makes tables, functions and the extensions unaccent and pg_trgm. The service makes nothing.
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    EXECUTE format('GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %I TO %I', current_database(), owner);
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), service);
    EXECUTE format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC', home);
    EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO %I', home, owner);
    EXECUTE format('GRANT USAGE ON SCHEMA %I TO %I', home, service);
    -- A lock that took too long is recognised by the server's words, in English.
    BEGIN
        EXECUTE format('ALTER ROLE %I SET lc_messages = ''C''', service);
    EXCEPTION WHEN insufficient_privilege THEN
        RAISE NOTICE 'lc_messages stays as it is';
    END;
END $$;
