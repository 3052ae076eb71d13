-- What was mailed lately: whether a message with an invitation ($1) is on its way, and how often its user ($2) has asked for the
-- PIN since an hour ago ($3) and since a day ago ($4). In SQL, since one statement reads two tables that have no column in common.
SELECT
    EXISTS (SELECT FROM messages WHERE invitation_id = $1
        AND state NOT IN ('accepted', 'bounced', 'failed', 'suppressed')) AS on_its_way,
    count(*) FILTER (WHERE requested_at > $3) AS within_an_hour,
    count(*) AS within_a_day
FROM pin_requests WHERE user_id = $2 AND requested_at > $4
