-- Changes many users; a password only where there is a new one.
-- In SQL, since columns come as arrays: the statement is the same for any number of users.
UPDATE users u
SET username = n.username, email = n.email, first_name = n.first_name, last_name = n.last_name,
    display_name = n.display_name, locale = n.locale, time_zone = n.time_zone,
    managed_apple_account = n.managed_apple_account, enabled = n.enabled, attributes = n.attributes,
    password_hash = coalesce(n.password_hash, u.password_hash), updated_at = $13
FROM unnest(
    $1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[],
    $10::bool[], $11::jsonb[], $12::text[]
) AS n (
    id, username, email, first_name, last_name, display_name, locale, time_zone, managed_apple_account, enabled,
    attributes, password_hash
)
WHERE u.id = n.id
