-- Which settings are distributed to groups with these names ($1). In SQL, since it joins an array.
SELECT n.name, d.setting_id AS setting FROM unnest($1::text[]) AS n (name)
JOIN groups g ON lower(g.name) = lower(n.name COLLATE "und-x-icu")
JOIN setting_groups d ON d.group_id = g.id
