-- Addresses to which nothing is sent, since a mail to them came back for good. As `lower(users.email)` is written.
CREATE TABLE suppressions (
    id              uuid PRIMARY KEY,
    email           text COLLATE "und-x-icu" NOT NULL,
    -- Whose it was then: who is deleted takes it along.
    user_id         uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    enhanced_status text,
    reason          text,
    created_at      timestamptz NOT NULL
);
CREATE UNIQUE INDEX suppressions_email_key ON suppressions (email);
CREATE INDEX suppressions_by_user ON suppressions (user_id);

-- How many reports came to what, whoever took them.
CREATE TABLE bounce_counts (
    outcome text PRIMARY KEY,
    reports bigint NOT NULL
);
