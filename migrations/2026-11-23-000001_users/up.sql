-- Trusted since Postgres 13: the owner of the database may create both.
CREATE EXTENSION IF NOT EXISTS unaccent WITH SCHEMA public;
CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public;

-- What a search compares: without case, without accents (é = e, ß = ss). ICU lower-cases every
-- script whatever the database's locale is. unaccent() is only STABLE because its dictionary could
-- be replaced; naming the dictionary and the schema makes this wrapper safe to index.
CREATE FUNCTION enlist_fold(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN lower(public.unaccent('public.unaccent'::regdictionary, lower(value COLLATE "und-x-icu")));

-- The LIKE pattern for "has this as a part". Escaped after folding: some characters fold to a wildcard.
-- NULL, which matches nothing, when folding leaves nothing: a lone accent must not mean everybody.
CREATE FUNCTION enlist_part(value text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN '%' || regexp_replace(nullif(enlist_fold(value), ''), '([\\%_])', '\\\1', 'g') || '%';

CREATE TABLE users (
    id                    uuid PRIMARY KEY,
    username              text COLLATE "und-x-icu" NOT NULL,
    email                 text COLLATE "und-x-icu",
    first_name            text NOT NULL,
    last_name             text NOT NULL,
    display_name          text COLLATE "und-x-icu" NOT NULL,
    locale                text,
    time_zone             text,
    managed_apple_account text,
    enabled               boolean NOT NULL,
    source                text NOT NULL,
    attributes            jsonb NOT NULL,
    password_hash         text,
    created_at            timestamptz NOT NULL,
    updated_at            timestamptz NOT NULL,
    -- A keyset comparison knows no NULL: who has no address sorts first.
    email_sort            text COLLATE "und-x-icu" NOT NULL GENERATED ALWAYS AS (coalesce(email, '')) STORED,
    -- One line a field: a search text holds no line break, so it cannot match across two fields.
    search_text           text NOT NULL GENERATED ALWAYS AS (
        enlist_fold(username || E'\n' || coalesce(email, '') || E'\n' || display_name || E'\n' || first_name || E'\n' || last_name)
    ) STORED,
    CONSTRAINT users_source_known CHECK (source IN ('local', 'ldap', 'scim')),
    CONSTRAINT users_attributes_object CHECK (jsonb_typeof(attributes) = 'object'),
    CONSTRAINT users_username_length CHECK (char_length(username) BETWEEN 1 AND 254),
    CONSTRAINT users_email_length CHECK (char_length(email) BETWEEN 3 AND 254)
);

-- Unique without regard to case. The names are part of the code: a violation becomes a 409.
CREATE UNIQUE INDEX users_username_key ON users (lower(username));
CREATE UNIQUE INDEX users_email_key ON users (lower(email));

-- One index a sort of GET /users, each ended by the id so that a keyset cursor is total.
CREATE INDEX users_by_display_name ON users (display_name, id);
CREATE INDEX users_by_username ON users (username, id);
CREATE INDEX users_by_email ON users (email_sort, id);
CREATE INDEX users_by_created_at ON users (created_at, id);
CREATE INDEX users_search ON users USING gin (search_text public.gin_trgm_ops);

CREATE TABLE groups (
    id         uuid PRIMARY KEY,
    name       text COLLATE "und-x-icu" NOT NULL,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT groups_name_length CHECK (char_length(name) BETWEEN 1 AND 200)
);
CREATE UNIQUE INDEX groups_name_key ON groups (lower(name));

CREATE TABLE group_members (
    group_id uuid NOT NULL REFERENCES groups ON DELETE CASCADE,
    user_id  uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    PRIMARY KEY (group_id, user_id)
);
CREATE INDEX group_members_by_user ON group_members (user_id);
