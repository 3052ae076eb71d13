-- Which of the custom reminder settings, given by ids ($1) and places ($2), holds which of these users ($3).
-- In SQL, since it joins arrays, and is planned anew each time: the planner must know how many users there are.
WITH custom AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::integer[]) AS c(id, place)
), held AS (
    SELECT u.id AS user_id, d.setting_id FROM unnest($3::uuid[]) u(id)
    JOIN setting_users d ON d.user_id = u.id
    UNION ALL
    SELECT u.id, d.setting_id FROM unnest($3::uuid[]) u(id)
    JOIN group_members m ON m.user_id = u.id
    JOIN setting_groups d ON d.group_id = m.group_id
)
SELECT h.user_id, min(c.place) AS place
FROM held h JOIN custom c ON c.id = h.setting_id GROUP BY h.user_id
