-- Suppresses an address ($2) of a user ($3), who is not to be deleted meanwhile: by an id ($1), with the server's status ($4) and
-- words ($5), at a time ($6). In SQL, since it inserts from a row that is locked, and folds the address.
INSERT INTO suppressions (id, email, user_id, enhanced_status, reason, created_at)
SELECT $1, lower($2 COLLATE "und-x-icu"), u.id, $4, $5, $6 FROM users u WHERE u.id = $3 FOR KEY SHARE
ON CONFLICT (email) DO NOTHING RETURNING id
