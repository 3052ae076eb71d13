-- What a search compares. There is no index on it: looking through 10,000 groups takes a few milliseconds.
ALTER TABLE groups ADD COLUMN search_text text NOT NULL GENERATED ALWAYS AS (enlist_fold(name)) STORED;

-- The order of GET /groups, ended by the id so that a keyset cursor is total.
CREATE INDEX groups_by_name ON groups (name, id);
