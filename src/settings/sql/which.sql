-- Which custom settings hold which of these users ($4): of each kind the place in the order of application. The settings are
-- given by their ids ($1), whether they are confirmations ($2), and their places ($3).
-- In SQL, since it joins arrays, and is planned anew each time: the planner must know how many users there are.
WITH custom AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::boolean[], $3::integer[]) AS c(id, is_confirmation, at)
), held AS (
    SELECT u.id AS user_id, d.setting_id FROM unnest($4::uuid[]) u(id)
    JOIN setting_users d ON d.user_id = u.id
    UNION ALL
    SELECT u.id, d.setting_id FROM unnest($4::uuid[]) u(id)
    JOIN group_members m ON m.user_id = u.id
    JOIN setting_groups d ON d.group_id = m.group_id
)
SELECT h.user_id, min(c.at) FILTER (WHERE NOT c.is_confirmation) AS registration,
    min(c.at) FILTER (WHERE c.is_confirmation) AS confirmation
FROM held h JOIN custom c ON c.id = h.setting_id GROUP BY h.user_id
