-- The sessions that a session ($1) waits for, who they are and what they do.
-- In SQL: it asks the catalogs, whose tables diesel does not know.
SELECT b.pid,
    concat_ws(' ', b.usename, nullif(b.application_name, ''), 'from ' || coalesce(host(b.client_addr), 'this host')) AS who,
    concat_ws(' ', b.state, 'since ' || date_trunc('second', coalesce(b.xact_start, b.backend_start))) AS does
FROM unnest(pg_blocking_pids($1)) pid JOIN pg_stat_activity b USING (pid) ORDER BY b.pid LIMIT 5
