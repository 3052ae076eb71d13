-- Stores many new users; those whose names somebody has are left out.
-- In SQL, since columns come as arrays: the statement is the same for any number of users.
INSERT INTO users (
    id, username, email, first_name, last_name, display_name, locale, time_zone, managed_apple_account, enabled,
    attributes, password_hash, source, created_at, updated_at
)
SELECT n.*, $13, $14, $14
FROM unnest(
    $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::bool[], $11::jsonb[], $12::text[]
) AS n
ON CONFLICT DO NOTHING RETURNING id
