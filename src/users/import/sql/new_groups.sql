-- Makes groups of these names ($2), with these ids ($1), where there are none: of two that are one the first.
-- In SQL, since columns come as arrays.
INSERT INTO groups (id, name, created_at, updated_at)
SELECT n.id, n.name, $3, $3 FROM unnest($1::uuid[], $2::text[]) WITH ORDINALITY AS n (id, name, place)
WHERE NOT EXISTS (SELECT FROM groups g WHERE lower(g.name) = lower(n.name COLLATE "und-x-icu"))
ORDER BY n.place
ON CONFLICT DO NOTHING
