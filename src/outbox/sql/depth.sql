-- How long the queue is at a time ($1), and how much of it was queued before another ($2).
-- In SQL, since diesel cannot say how many seconds there are between two times.
SELECT count(*) FILTER (WHERE state = 'queued') AS queued,
    count(*) FILTER (WHERE state = 'sending') AS sending,
    count(*) FILTER (WHERE state = 'deferred') AS deferred,
    count(*) FILTER (WHERE created_at < $2) AS late,
    coalesce(greatest(extract(epoch FROM $1::timestamptz - min(due_at)), 0), 0)::float8 AS overdue_seconds,
    coalesce(greatest(extract(epoch FROM $1::timestamptz - min(created_at)), 0), 0)::float8 AS oldest_seconds
FROM messages WHERE state IN ('queued', 'sending', 'deferred')
