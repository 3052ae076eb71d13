-- Counts a try at a time ($2) where tries at something are counted ($1, which may be a part of $3), unless there is a pause. After
-- every $4 tries one begins, of so many seconds ($5: the first, the second, …, the last for all further ones).
-- In SQL, since what is written depends on what is there.
INSERT INTO guesses AS g (subject, tries, locked_until, looked_at, updated_at, name)
VALUES ($1, 1, NULL, true, $2, $3)
ON CONFLICT (subject) DO UPDATE SET
    looked_at = g.locked_until IS NULL OR g.locked_until <= $2,
    tries = CASE WHEN g.locked_until IS NULL OR g.locked_until <= $2 THEN g.tries + 1 ELSE g.tries END,
    locked_until = CASE WHEN (g.locked_until IS NULL OR g.locked_until <= $2) AND (g.tries + 1) % $4 = 0
        THEN $2 + make_interval(secs => ($5::int4[])[least((g.tries + 1) / $4, cardinality($5::int4[]))])
        ELSE g.locked_until END,
    counted_before = CASE WHEN g.locked_until IS NULL OR g.locked_until <= $2
        THEN g.updated_at ELSE g.counted_before END,
    updated_at = $2
RETURNING g.looked_at, g.locked_until
