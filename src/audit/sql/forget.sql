-- Forgets all events up to a link: its position ($1) and hash ($2), the time before which all of them are ($3), and a seal ($5)
-- with a key ($4). In SQL, since it calls a function that gives nothing.
SELECT enlist_audit_forget($1, $2, $3, $4, $5)
