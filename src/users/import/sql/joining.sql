-- Who of these members ($1) is not in the group of that name ($2) yet. In SQL, since pairs come as arrays.
SELECT n.member AS id FROM unnest($1::uuid[], $2::text[]) AS n (member, name)
WHERE NOT EXISTS (
    SELECT FROM group_members m JOIN groups g ON g.id = m.group_id
    WHERE m.user_id = n.member AND lower(g.name) = lower(n.name COLLATE "und-x-icu")
)
