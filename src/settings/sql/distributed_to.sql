-- The settings that are distributed to a group ($1), and how many users each would no longer hold without it.
-- In SQL, since it counts members for each setting, with the same tables under other names inside.
SELECT s.kind, s.id, s.name, (
    SELECT count(*) FROM group_members m
    WHERE m.group_id = $1
        AND NOT EXISTS (SELECT FROM setting_users d WHERE d.setting_id = s.id AND d.user_id = m.user_id)
        AND NOT EXISTS (
            SELECT FROM setting_groups d JOIN group_members o ON o.group_id = d.group_id
            WHERE d.setting_id = s.id AND d.group_id <> $1 AND o.user_id = m.user_id
        )
) AS user_count
FROM setting_groups g JOIN settings s ON s.id = g.setting_id
WHERE g.group_id = $1 ORDER BY s.kind, s.priority, s.id
