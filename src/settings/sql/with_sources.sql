-- What applies to a user ($1), one setting of each kind, and by which group. In SQL, since it has a lateral join.
SELECT DISTINCT ON (s.kind) s.id, s.kind, s.is_default, s.name, s.priority, s.version_id, v.body,
    d.user_id IS NOT NULL AS names_user, g.id AS group_id, g.name AS group_name
FROM users u
CROSS JOIN settings s
JOIN setting_versions v ON v.id = s.version_id
LEFT JOIN setting_users d ON d.setting_id = s.id AND d.user_id = u.id
LEFT JOIN LATERAL (
    SELECT g.id, g.name
    FROM setting_groups d
    JOIN group_members m ON m.group_id = d.group_id AND m.user_id = u.id
    JOIN groups g ON g.id = d.group_id
    WHERE d.setting_id = s.id ORDER BY g.name, g.id LIMIT 1
) g ON true
WHERE u.id = $1 AND (s.is_default OR d.user_id IS NOT NULL OR g.id IS NOT NULL)
ORDER BY s.kind, s.priority, s.id
