-- What of a batch ($1) was queued before a time ($2) and is still to be sent, and the mail server's newest words about it.
-- In SQL, since diesel has no lateral joins.
SELECT late.messages, late.since, said.smtp_code, said.enhanced_status, said.reason
FROM (
    SELECT count(*) AS messages, min(created_at) AS since,
        max(last_attempt_at) FILTER (WHERE reason IS NOT NULL OR smtp_code IS NOT NULL) AS said_at
    FROM messages
    WHERE batch_id = $1 AND state IN ('queued', 'sending', 'deferred') AND created_at < $2
) late
LEFT JOIN LATERAL (
    SELECT smtp_code, enhanced_status, reason FROM messages
    WHERE batch_id = $1 AND state IN ('queued', 'sending', 'deferred') AND created_at < $2
        AND last_attempt_at = late.said_at AND (reason IS NOT NULL OR smtp_code IS NOT NULL)
    LIMIT 1
) said ON true
